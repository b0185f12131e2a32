-- One fan-out of a task, with its counts as of this moment.
select * from fan_out_now where parent_id = %(id)s::uuid and name = %(name)s

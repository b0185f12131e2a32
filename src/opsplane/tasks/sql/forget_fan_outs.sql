-- Forget the fan-outs of the tasks of a partition that is about to be dropped.
delete from fan_out where parent_id in (select id from {name})

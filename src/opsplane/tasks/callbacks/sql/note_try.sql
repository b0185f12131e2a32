-- Note how a try ended, if the message is still this lease's: its state, and in how many seconds it is due again.
update task_callback
set state = %(state)s, tries = tries + 1, due_at = clock_timestamp() + make_interval(secs => %(pause)s),
    tried_at = clock_timestamp(), last_status = %(status)s, last_error = %(error)s
where task_id = %(task_id)s::uuid and id = %(id)s::uuid and state = 'waiting' and due_at = %(lease)s
returning 1

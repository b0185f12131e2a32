-- Have a message sent now, with all its tries before it again, whatever became of it.
update task_callback set state = 'waiting', tries = 0, due_at = clock_timestamp()
where task_id = %s::uuid
returning *

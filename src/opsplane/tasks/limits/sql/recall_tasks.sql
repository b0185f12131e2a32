-- Hold again tasks that were let go and that no worker claimed.
update task set status = 7, run_at = due_at, due_at = null
where id = any(%(ids)s::uuid[]) and status + 0 = 0
returning id::text as id, prio, run_at

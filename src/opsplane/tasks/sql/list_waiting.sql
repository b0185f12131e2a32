-- Tasks that wait for their upload, the first to be given up first.
select id::text as id, waits_until < clock_timestamp() as overdue from task where status = 2 order by waits_until limit %(limit)s

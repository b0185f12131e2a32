-- Tasks that wait for a file for longer than their time and a margin.
select count(*) as count, min(waits_until) as since, (array_agg(id::text order by waits_until))[1:5] as tasks
from task
where status = 2 and waits_until < clock_timestamp() - make_interval(secs => %(margin)s)

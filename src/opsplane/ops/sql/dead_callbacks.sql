-- Receivers whose callbacks were given up within a day, with the tasks of the latest.
select
    receiver, count(*) as dead, min(tried_at) as since,
    (array_agg(task_id::text order by tried_at desc))[1:20] as tasks,
    (array_agg(last_error order by tried_at desc))[1] as last_error
from task_callback
where state = 'dead' and tried_at > now() - interval '1 day'
group by receiver
order by dead desc, receiver

-- Task types with many failures among what finished within a day, the latest five of each.
select task_type, count(*) as finished, count(*) filter (where status = 4) as failed,
    min(completed_at) filter (where status = 4) as since,
    (array_agg(id::text order by completed_at desc) filter (where status = 4))[1:5] as latest,
    (array_agg(error_message order by completed_at desc) filter (where status = 4))[1] as last_error
from task_history
where completed_at > now() - interval '1 day'
group by task_type
having count(*) filter (where status = 4) >= %(least)s and count(*) filter (where status = 4) > %(share)s * count(*)
order by task_type

-- Tasks that finished within a day, by type: how they ended and how long an attempt took.
select task_type as type, count(*) filter (where status = 3) as completed, count(*) filter (where status = 4) as failed,
    count(*) filter (where status = 5) as cancelled,
    round(avg(extract(epoch from completed_at - started_at))::numeric, 3)::float8 as seconds
from task_history
where completed_at > now() - interval '1 day'
group by task_type
order by task_type

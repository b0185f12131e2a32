-- The finished steps of a task in their order; a long result is left out.
select
    name, attempt, started_at, finished_at, octet_length(result::text) as result_size,
    case when octet_length(result::text) <= %(longest)s then result end as result
from task_step
where task_id = %(id)s::uuid
order by finished_at, name

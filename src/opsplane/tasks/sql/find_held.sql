-- Which of these queues, types and tenants have their tasks held, by their numbers.
select kind.number::integer - 1 as number
from unnest(%(queues)s::text[], %(types)s::text[], %(tenants)s::text[]) with ordinality as kind (queue, task_type, tenant, number)
where ready_status(kind.queue, kind.task_type, kind.tenant) = 7

-- The first of these queues that takes no new tasks; a child of a task that is in the queue itself is none.
select queue.name, queue.drained_by, queue.drained_at, queue.drain_reason
from unnest(%(queues)s::text[], %(parents)s::uuid[]) as new (queue, parent)
join queue on queue.name = new.queue and queue.drained_at is not null
where not exists (select from task where task.id = new.parent and task.queue = new.queue)
order by queue.name
limit 1

-- Every queue that has a setting or an unfinished task, with what is in it.
select
    coalesce(queue.name, counted.queue) as name,
    coalesce(queue.paused, false) as paused, queue.paused_by, queue.paused_at, queue.reason,
    queue.drained_at is not null as draining, queue.drained_by, queue.drained_at, queue.drain_reason,
    coalesce(queue.weight, 1) as weight, coalesce(queue.fair, false) as fair,
    coalesce(counted.pending, 0) as pending, coalesce(counted.scheduled, 0) as scheduled,
    coalesce(counted.processing, 0) as processing, coalesce(counted.joining, 0) as joining,
    coalesce(counted.waiting, 0) as waiting, coalesce(counted.held, 0) as held, counted.oldest
from queue
full join (
    select
        task.queue,
        count(*) filter (where status in (0, 7) and run_at <= now()) as pending,
        count(*) filter (where status in (0, 7) and run_at > now()) as scheduled,
        count(*) filter (where status = 1) as processing,
        count(*) filter (where status = 6) as joining,
        count(*) filter (where status = 2) as waiting,
        count(*) filter (where status = 7 and run_at <= now()) as held,
        min(coalesce(due_at, run_at)) filter (where status in (0, 7) and run_at <= now()) as oldest
    from task
    group by task.queue
) as counted on counted.queue = queue.name
order by 1

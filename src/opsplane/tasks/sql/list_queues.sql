-- Every queue that has a setting or an unfinished task, with what is in it.
select
    coalesce(queue.name, held.queue) as name,
    coalesce(queue.paused, false) as paused, queue.paused_by, queue.paused_at, queue.reason,
    coalesce(queue.weight, 1) as weight, queue.concurrency,
    coalesce(held.pending, 0) as pending, coalesce(held.scheduled, 0) as scheduled,
    coalesce(held.processing, 0) as processing, coalesce(held.waiting, 0) as waiting, held.oldest
from queue
full join (
    select
        task.queue,
        count(*) filter (where status = 0 and run_at <= now()) as pending,
        count(*) filter (where status = 0 and run_at > now()) as scheduled,
        count(*) filter (where status = 1) as processing,
        count(*) filter (where status = 2) as waiting,
        min(run_at) filter (where status = 0 and run_at <= now()) as oldest
    from task
    group by task.queue
) as held on held.queue = queue.name
order by 1

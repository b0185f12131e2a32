-- Take due messages of every receiver in turn, as many of each as it has free, those due longest first; their lease runs out by itself.
with recursive receiver (name) as (
    (select receiver from task_callback where state = 'waiting' order by receiver limit 1)
    union all
    select (
        select receiver from task_callback where state = 'waiting' and receiver > receiver.name order by receiver limit 1
    )
    from receiver where receiver.name is not null
),
busy as (select * from unnest(%(receivers)s::text[], %(counts)s::integer[]) as busy (name, count)),
able as (
    select due.task_id, due.due_at
    from receiver
    left join busy on busy.name = receiver.name
    cross join lateral (
        select task_id, due_at from task_callback
        where state = 'waiting' and task_callback.receiver = receiver.name and due_at <= clock_timestamp()
        order by due_at
        limit greatest(0, %(each)s - coalesce(busy.count, 0))
        for update skip locked
    ) as due
    order by due.due_at
    limit %(limit)s
)
update task_callback
set due_at = clock_timestamp() + make_interval(secs => %(lease)s)
from able
where task_callback.task_id = able.task_id
returning task_callback.task_id::text as task_id, task_callback.id::text as id, url, receiver, finished_at, tries, task_callback.due_at

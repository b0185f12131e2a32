-- The first due tasks of held lines from their marks on: level by level, by due time; `upto` is the level to stop before.
select line.number::integer - 1 as line, ready.id::text as id, ready.prio, ready.run_at
from unnest(%(queues)s::text[], %(tenants)s::text[], %(types)s::text[], %(upto)s::smallint[])
    with ordinality as line (queue, tenant, task_type, upto, number)
cross join lateral (
    select due.* from unnest(
        %(levels)s::smallint[],
        (%(ats)s::timestamptz[])[(line.number - 1) * %(width)s + 1 : line.number * %(width)s],
        (%(ids)s::uuid[])[(line.number - 1) * %(width)s + 1 : line.number * %(width)s]
    ) as mark (level, at, id)
    cross join lateral (
        select task.id, task.prio, task.run_at from task
        where task.status = 7 and task.queue = line.queue and task.tenant = line.tenant and task.task_type = line.task_type
            and task.prio = mark.level and (task.run_at, task.id) >= (mark.at, mark.id) and task.run_at <= now()
        order by task.run_at, task.id
        limit %(limit)s
    ) as due
    where mark.level < line.upto
    limit %(limit)s
) as ready

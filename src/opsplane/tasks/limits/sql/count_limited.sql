-- What of each limit is taken, and how many tasks wait behind it, counted up to a number.
select
    task_limit.*,
    (
        select count(*) from task
        where status in (0, 1) and case kind
            when 'queue' then queue = name
            when 'type' then task_type = name
            else tenant = name or (name = '*' and not exists (
                select from task_limit as own where own.kind = 'tenant' and own.name = task.tenant
            ))
        end
    ) as taken,
    (
        select count(*) from (
            select from task
            where status = 7 and case kind
                when 'queue' then queue = name
                when 'type' then task_type = name
                else tenant = name or (name = '*' and not exists (
                    select from task_limit as own where own.kind = 'tenant' and own.name = task.tenant
                ))
            end
            limit %(limit)s
        ) as held
    ) as held
from task_limit
order by kind, name

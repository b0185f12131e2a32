-- How many callbacks nobody tries: due for longer than a time, or never tried since, and none of their receivers was.
select count(*) as late, min(finished_at) as since
from task_callback as callback
where state = 'waiting'
    and least(due_at, case when tried_at is null then finished_at end) < now() - make_interval(secs => %(late)s)
    and not exists (
        select from task_callback as other
        where other.receiver = callback.receiver and other.tried_at > now() - make_interval(secs => %(late)s)
    )

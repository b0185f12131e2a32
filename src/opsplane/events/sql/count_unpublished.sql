-- How many events wait to be published, for how many seconds the oldest has, and how many are delayed and not due.
select soon.count + later.due as pending,
       coalesce(extract(epoch from statement_timestamp() - least(soon.oldest, later.oldest)), 0)::float8 as lag,
       later.delayed
from (
    select count(*) as count, min(created_at) as oldest from outbox where published_at is null and deliver_at is null
) as soon, (
    select count(*) filter (where deliver_at <= statement_timestamp()) as due,
           count(*) filter (where deliver_at > statement_timestamp()) as delayed,
           min(deliver_at) filter (where deliver_at <= statement_timestamp()) as oldest
    from outbox where published_at is null and deliver_at is not null
) as later

-- The types that present workers run, and how many tasks they run at once.
select coalesce(sum(slots), 0) as slots, coalesce((
    select array_agg(distinct kind) from worker as able, unnest(able.task_types) as kind
    where able.gone_at is null and not able.stopping
), '{}') as types
from worker where gone_at is null and not stopping

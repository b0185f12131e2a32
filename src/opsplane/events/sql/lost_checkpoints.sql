-- The positions to rebuild from: the lowest of the lost incarnations not rebuilt yet, else the current ones.
with lost as (
    select incarnation from broker_incarnation where lost_at is not null and rebuilt_at is null
), wanted as (
    select incarnation from lost
    union all
    select incarnation from broker_incarnation where lost_at is null and not exists (select from lost)
)
select distinct on (consumer_group, stream) consumer_group, stream, position, delivered, pending
from group_checkpoint
where incarnation in (select incarnation from wanted)
order by consumer_group, stream, split_part(position, '-', 1)::numeric, split_part(position, '-', 2)::numeric

-- How many events wait to be published, and for how many seconds the oldest has.
select count(*) as pending,
       coalesce(extract(epoch from clock_timestamp() - min(created_at)), 0)::float8 as lag
from outbox where published_at is null

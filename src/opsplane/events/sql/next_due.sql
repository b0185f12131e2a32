-- In how many seconds the next delayed event is due; null when none is delayed.
select extract(epoch from min(deliver_at) - clock_timestamp())::float8 as seconds
from outbox where published_at is null and deliver_at > clock_timestamp()

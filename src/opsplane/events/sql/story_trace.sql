-- The other events of a trace, the first ones written first.
select topic, subject, event_id, created_at, deliver_at, published_at, stream_id
from outbox where trace = %s::uuid and event_id <> %s order by id limit %s

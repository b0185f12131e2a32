-- What the outbox knows of an event.
select topic, subject, event_id, envelope, created_at, deliver_at, published_at, stream_id, sequence
from outbox where event_id = %s order by id

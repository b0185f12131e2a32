-- Note where and when events were published.
update outbox
set published_at = clock_timestamp(), stream_id = sent.stream_id, sequence = sent.sequence
from unnest(%s::bigint[], %s::text[], %s::bigint[]) as sent (id, stream_id, sequence)
where outbox.id = sent.id

-- Note under which ids events stand on the rebuilt stream.
update outbox set stream_id = moved.stream_id
from unnest(%s::bigint[], %s::text[]) as moved (id, stream_id)
where outbox.id = moved.id

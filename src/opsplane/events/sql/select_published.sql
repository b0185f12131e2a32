-- Events published to a topic behind a position of its stream, oldest first; the broker's clock may be an hour off.
select id, event_id, stream_id, sequence, envelope
from outbox
where topic = %(topic)s and published_at > to_timestamp(%(ms)s / 1000.0) - interval '1 hour'
  and (split_part(stream_id, '-', 1)::numeric, split_part(stream_id, '-', 2)::numeric) > (%(ms)s, %(sequence)s)
  and id > %(after)s
order by id limit %(limit)s

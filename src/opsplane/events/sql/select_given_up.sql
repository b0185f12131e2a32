-- Of events that hold up a subject of a group, those given up since: their dead letter was discarded.
select distinct held.source, held.event_id
from unnest(%(sources)s::text[], %(ids)s::text[], %(since)s::timestamptz[]) as held (source, event_id, since)
join dead_letter using (event_id)
where consumer_group = %(group)s and event_source = held.source and state = 'discarded' and last_failed_at >= held.since

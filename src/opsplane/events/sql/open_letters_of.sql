-- The open dead letters of a group for some of its events.
select max(id) as id, event_source, event_id from dead_letter
where consumer_group = %s and state in ('waiting', 'replaying')
  and (event_source, event_id) in (select * from unnest(%s::text[], %s::text[]))
group by event_source, event_id

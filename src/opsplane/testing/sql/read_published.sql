-- The events in an outbox that came after a place, in the order they were published.
select id, envelope from outbox where id > %s order by id

-- The oldest events that still wait to be published.
select id, topic, subject, envelope from outbox where published_at is null order by id limit %s

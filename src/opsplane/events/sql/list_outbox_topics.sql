-- The topics this outbox has published to.
select distinct topic from outbox where published_at is not null

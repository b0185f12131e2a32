-- How often the broker was lost and not rebuilt since, and when it was the first time.
select count(*) as count, min(lost_at) as since from broker_incarnation
where lost_at is not null and rebuilt_at is null

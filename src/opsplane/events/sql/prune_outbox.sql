-- Forget events that were published longer ago than the retention.
delete from outbox where id in (
    select id from outbox
    where published_at < clock_timestamp() - make_interval(secs => %s)
    order by id limit 10000
)

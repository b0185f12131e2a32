-- The broker's incarnation now.
select incarnation from broker_incarnation where lost_at is null order by since desc limit 1

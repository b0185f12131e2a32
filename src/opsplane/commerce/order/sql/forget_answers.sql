-- Forget some answers older than a day.
delete from answered_request
where ctid = any(array(
    select ctid from answered_request where created_at < now() - interval '24 hours'
    order by created_at limit 10 for update skip locked
))

-- How many events of this database were published within a day.
select count(*) as published from outbox where published_at > clock_timestamp() - interval '1 day'

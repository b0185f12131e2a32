-- Forget idempotency keys of yesterday and workers gone for a week.
with keys as (delete from task_idempotency where created_at < now() - interval '1 day' returning 1),
workers as (delete from worker where gone_at < now() - interval '7 days' returning 1)
select (select count(*) from keys) as keys, (select count(*) from workers) as workers

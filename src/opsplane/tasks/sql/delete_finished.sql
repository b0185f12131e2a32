-- Forget a finished task with its log, events and steps.
with gone as (delete from task_history where id = %(id)s::uuid returning id),
events as (delete from task_event using gone where task_id = gone.id),
logs as (delete from task_log using gone where task_id = gone.id),
steps as (delete from task_step using gone where task_id = gone.id),
fan_outs as (delete from fan_out using gone where parent_id = gone.id),
keys as (delete from task_idempotency using gone where task_id = gone.id)
select id from gone

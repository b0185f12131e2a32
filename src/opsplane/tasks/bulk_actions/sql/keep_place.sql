-- Note how far a bulk action is, in the transaction of the batch: a step of its task that is written again and again.
insert into task_step (task_id, name, attempt, result, started_at, finished_at)
values (%(id)s::uuid, %(name)s, %(attempt)s, %(result)s::json, %(started_at)s, clock_timestamp())
on conflict (task_id, name) do update
set attempt = excluded.attempt, result = excluded.result, finished_at = excluded.finished_at

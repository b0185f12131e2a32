-- Reserve an idempotency key for a task; no row when the key is already used.
insert into task_idempotency (requested_by, key, fingerprint, task_id) values (%s, %s, %s, %s)
on conflict do nothing
returning task_id

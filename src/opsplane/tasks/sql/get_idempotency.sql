-- The task a key was used for.
select task_id::text as task_id, fingerprint from task_idempotency where requested_by = %s and key = %s

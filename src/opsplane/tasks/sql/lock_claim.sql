-- The attempt's claim, locked until the transaction ends; no row: the task was taken away.
select started_at from task where id = %(id)s::uuid and status + 0 = 1 and claim_token = %(token)s::bigint for update

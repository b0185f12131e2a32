-- The bulk action's own task, locked; no row: another has taken it.
select cancel_requested_at from task
where id = %(id)s::uuid and status + 0 = 1 and claim_token = %(token)s::bigint
for update

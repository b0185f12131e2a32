-- Which of these tasks are as they were, because another transaction has them.
select id::text as id from {source}
where id = any(%(ids)s::uuid[]) and status = any(%(statuses)s::smallint[]) and (not %(fresh)s or cancel_requested_at is null)

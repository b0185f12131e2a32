-- How many tasks a bulk action means.
select count(*) as total from {source}
where task_type <> %(kind)s and created_at <= %(before)s::timestamptz
    and (not %(fresh)s or cancel_requested_at is null)
    and {filter}

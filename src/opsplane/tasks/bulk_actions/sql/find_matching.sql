-- The next tasks that a bulk action means, by id.
select id::text as id from {source}
where id > %(after)s::uuid
    and task_type <> %(kind)s and created_at <= %(before)s::timestamptz
    and (not %(fresh)s or cancel_requested_at is null)
    and {filter}
order by id
limit %(limit)s

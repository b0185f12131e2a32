-- The oldest tasks that a bulk action means.
select * from {source}
where task_type <> %(kind)s and created_at <= %(before)s::timestamptz
    and (not %(fresh)s or cancel_requested_at is null)
    and {filter}
order by id
limit %(limit)s

-- Make a limit or change it.
insert into task_limit (kind, name, concurrency, rate, per_seconds, updated_by)
values (%(kind)s, %(name)s, %(concurrency)s, %(rate)s, %(per_seconds)s, %(actor)s)
on conflict (kind, name) do update set
    concurrency = excluded.concurrency, rate = excluded.rate, per_seconds = excluded.per_seconds,
    updated_by = excluded.updated_by, updated_at = clock_timestamp()
returning *

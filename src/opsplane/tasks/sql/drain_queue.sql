-- Have a queue take no new tasks.
insert into queue (name, drained_by, drained_at, drain_reason)
values (%(name)s, %(actor)s, clock_timestamp(), %(reason)s)
on conflict (name) do update set drained_by = excluded.drained_by, drained_at = excluded.drained_at,
    drain_reason = excluded.drain_reason
where queue.drained_at is null

-- A new remote worker: its number, and until when it must have called again.
insert into worker (name, host, pid, task_types, slots, owner, lease_seconds, lease_until)
values (
    %(name)s, %(host)s, %(pid)s, %(types)s, %(slots)s, %(owner)s, %(lease)s,
    clock_timestamp() + %(lease)s * interval '1 second'
)
returning number, lease_until as until, lease_seconds as seconds

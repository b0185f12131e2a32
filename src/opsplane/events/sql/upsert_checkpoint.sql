-- Write how far a group has come on a stream.
insert into group_checkpoint (incarnation, consumer_group, stream, position, delivered, pending)
values (%s, %s, %s, %s, %s, %s)
on conflict (incarnation, consumer_group, stream) do update
set position = excluded.position, delivered = excluded.delivered, pending = excluded.pending,
    noted_at = clock_timestamp()

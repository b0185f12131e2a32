-- Begin the next epoch of an ordered group, above any that is known.
insert into ordered_group (consumer_group, epoch, leader) values (%(group)s, %(known)s::bigint + 1, %(leader)s)
on conflict (consumer_group) do update
set epoch = greatest(ordered_group.epoch, %(known)s::bigint) + 1, leader = %(leader)s, since = clock_timestamp()
returning epoch

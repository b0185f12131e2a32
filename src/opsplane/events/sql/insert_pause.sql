-- Pause a group; who paused it first stays noted.
insert into group_pause (consumer_group, paused_by, reason) values (%s, %s, %s) on conflict do nothing

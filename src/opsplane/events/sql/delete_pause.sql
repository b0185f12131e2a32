-- Resume a group.
delete from group_pause where consumer_group = %s

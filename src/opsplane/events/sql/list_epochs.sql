-- The epochs of all groups, or of one, the first first.
select consumer_group, topic, epoch, since, begun_by, begun_at from group_epoch
where %(group)s::text is null or consumer_group = %(group)s
order by consumer_group, topic, epoch

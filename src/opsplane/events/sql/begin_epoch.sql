-- Begin the next epoch of a group on a topic; hold its lock.
insert into group_epoch (consumer_group, topic, epoch, since, begun_by)
select %(group)s, %(topic)s, 1 + coalesce(max(epoch), 0), %(since)s, %(by)s
from group_epoch where consumer_group = %(group)s and topic = %(topic)s
returning epoch

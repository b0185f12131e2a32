-- The groups an operator has paused.
select consumer_group, paused_by, reason, paused_at from group_pause order by consumer_group

-- The next events of a replay.
select id, topic, consumer_group, source_id, coalesce(edited, data) as data from dead_letter
where replay_id = %s and state = 'replaying' and sent_in is distinct from %s
order by id limit %s for update

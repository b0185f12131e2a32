-- Every dead letter of an event, with the replay it was last sent in.
select letter.id, letter.topic, letter.consumer_group, letter.consumer, letter.source_id, letter.data, letter.reason,
       letter.error, letter.message, letter.attempts, letter.failures, letter.first_failed_at, letter.last_failed_at,
       letter.state, letter.settled_at, letter.settled_by, letter.settled_reason, letter.replay_id,
       replay.created_at as replayed_at, replay.requested_by as replayed_by, replay.state as replay_state
from dead_letter letter left join replay on replay.id = letter.replay_id
where letter.event_id = %s order by letter.id

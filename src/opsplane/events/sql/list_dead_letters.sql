-- One page of the matching dead letters, the latest failure first, and how many there are in all.
select id, topic, consumer_group, consumer, event_id, event_type, subject, reason, error, message, fingerprint, failures,
       jsonb_array_length(attempts) as attempts, first_failed_at, last_failed_at, state, replay_id,
       count(*) over () as total
from dead_letters_matching(
    %(states)s, %(ids)s, %(event_id)s, %(topic)s, %(group)s, %(reason)s, %(fingerprint)s, %(text)s)
order by last_failed_at desc, id desc
limit %(limit)s offset %(offset)s

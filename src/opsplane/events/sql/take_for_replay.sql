-- Put the matching waiting dead letters into a replay.
update dead_letter set state = 'replaying', replay_id = %(replay)s, sent_in = null
where state = 'waiting' and id in (
    select id from dead_letters_matching(
        '{waiting}', %(ids)s, %(event_id)s, %(topic)s, %(group)s, %(reason)s, %(fingerprint)s, %(text)s)
)

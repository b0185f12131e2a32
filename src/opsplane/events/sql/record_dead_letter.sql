-- Record one entry of a dead letter stream: as a new row, or on the row it is another failure of.
with previous as (
    select id, stream_id, state, replay_id, stream_id = %(stream_id)s and stream = %(stream)s as known
    from dead_letter
    where id = %(dead_letter)s
       or (state in ('waiting', 'replaying') and topic = %(topic)s and consumer_group = %(group)s
           and event_id = %(event_id)s and event_source = %(event_source)s)
    order by (id is not distinct from %(dead_letter)s) desc, id
    limit 1
    for update
), again as (
    update dead_letter
    set stream = %(stream)s, stream_id = %(stream_id)s, obsolete = obsolete || previous.stream_id, untidy = true,
        alias = coalesce(%(alias)s, alias), consumer = %(consumer)s, reason = %(reason)s, error = %(error)s,
        message = %(message)s, fingerprint = %(fingerprint)s, violations = %(violations)s,
        attempts = case when %(restored)s then attempts else attempts || %(attempts)s::jsonb end,
        failures = failures + case when %(restored)s then 0 else 1 end,
        last_failed_at = greatest(last_failed_at, %(failed_at)s),
        state = case when %(restored)s then dead_letter.state else 'waiting' end
    from previous
    where dead_letter.id = previous.id and previous.state in ('waiting', 'replaying') and not previous.known
    returning dead_letter.id
), late as (
    update dead_letter
    set obsolete = obsolete || %(stream_id)s::text, untidy = true
    from previous
    where dead_letter.id = previous.id and previous.state in ('resolved', 'discarded') and not previous.known
), counted as (
    update replay
    set failed = failed + 1
    from previous
    where replay.id = previous.replay_id and previous.state = 'replaying' and not previous.known and not %(restored)s
), recorded as (
    insert into dead_letter (
        stream, stream_id, alias, topic, consumer_group, consumer, source_id, event_id, event_type, event_source, subject,
        data, reason, error, message, fingerprint, violations, attempts, first_failed_at, last_failed_at
    )
    select %(stream)s, %(stream_id)s, %(alias)s, %(topic)s, %(group)s, %(consumer)s, %(source_id)s, %(event_id)s,
           %(event_type)s, %(event_source)s, %(subject)s, %(data)s, %(reason)s, %(error)s, %(message)s, %(fingerprint)s,
           %(violations)s::jsonb, %(attempts)s::jsonb, %(failed_at)s, %(failed_at)s
    where not exists (select from previous)
    on conflict (stream, stream_id) do nothing
    returning id
)
insert into dead_letter_text (letter, words, pointers)
select id, array_to_tsvector(%(words)s::text[]), %(pointers)s::text[]
from (select id from recorded union all select id from again where not %(restored)s) as found
on conflict (letter) do update set words = excluded.words, pointers = excluded.pointers

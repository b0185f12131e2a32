-- Record an exported dead letter, with its edits, unless it is here already.
with recorded as (
    insert into dead_letter (
        uid, stream, stream_id, alias, topic, consumer_group, consumer, source_id, event_id, event_type, event_source,
        subject, data, edited, reason, error, message, fingerprint, violations, attempts, failures, first_failed_at,
        last_failed_at
    ) values (
        %(uid)s, %(stream)s, %(stream_id)s, %(alias)s, %(topic)s, %(group)s, %(consumer)s, %(source_id)s, %(event_id)s,
        %(event_type)s, %(event_source)s, %(subject)s, %(data)s, %(edited)s, %(reason)s, %(error)s, %(message)s,
        %(fingerprint)s, %(violations)s, %(attempts)s, %(failures)s, %(first)s, %(last)s
    ) on conflict (uid) do nothing returning id
), edits as (
    insert into dead_letter_edit (letter, data, edited_by, because, violations, at)
    select recorded.id, decode(edit->>'data', 'base64'), edit->>'by', edit->>'because', edit->'violations',
           (edit->>'at')::timestamptz
    from recorded, jsonb_array_elements(%(edits)s) with ordinality as listed(edit, place) order by place
)
insert into dead_letter_text (letter, words, pointers)
select id, array_to_tsvector(%(words)s::text[]), %(pointers)s from recorded

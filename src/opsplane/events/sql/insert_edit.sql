-- Keep an edit of a dead letter's event beside the original; what the original did not tell of itself is told now.
with kept as (
    insert into dead_letter_edit (letter, data, edited_by, because, violations)
    values (%(letter)s, %(data)s, %(by)s, %(because)s, %(violations)s)
)
update dead_letter
set edited = %(data)s, event_id = coalesce(event_id, %(event_id)s), event_type = coalesce(event_type, %(event_type)s),
    event_source = coalesce(event_source, %(event_source)s), subject = coalesce(subject, %(subject)s)
where id = %(letter)s

-- Dead letters nobody can find by words yet: those recorded before there was an index.
select id, topic, event_id, event_type, subject, data, error, message, violations from dead_letter
where not exists (select from dead_letter_text where letter = dead_letter.id) order by id limit %s

-- The last sequence number given for each of these subjects.
select topic, subject, last from outbox_subject
where (topic, subject) in (select * from unnest(%s::text[], %s::text[]))

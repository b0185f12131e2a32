-- The oldest events that wait to be published now: delayed ones only when due, none of the topics left out. Those the
-- broker lost have their number already.
select id, topic, subject, sequence, envelope from (
    (select id, topic, subject, sequence, envelope from outbox
     where published_at is null and deliver_at is null and topic <> all (%(without)s)
     order by id limit %(limit)s)
    union all
    (select id, topic, subject, sequence, envelope from outbox
     where published_at is null and deliver_at <= clock_timestamp() and topic <> all (%(without)s)
     order by id limit %(limit)s)
) as due
order by id limit %(limit)s

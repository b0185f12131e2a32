-- Put events into the outbox, in the order given.
insert into outbox (topic, subject, event_id, envelope)
select topic, subject, event_id, envelope
from unnest(%s::text[], %s::text[], %s::text[], %s::bytea[])
    with ordinality as given (topic, subject, event_id, envelope, place)
order by place

-- Put events into the outbox, in the order given, to be published at a time or at once.
insert into outbox (topic, subject, event_id, envelope, trace, deliver_at)
select topic, subject, event_id, envelope, trace, %s
from unnest(%s::text[], %s::text[], %s::text[], %s::bytea[], %s::uuid[])
    with ordinality as given (topic, subject, event_id, envelope, trace, place)
order by place

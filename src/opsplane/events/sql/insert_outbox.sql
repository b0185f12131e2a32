-- Put events into the outbox, in the order given, to be published at a time or at once.
insert into outbox (topic, subject, event_id, envelope, deliver_at)
select topic, subject, event_id, envelope, %s
from unnest(%s::text[], %s::text[], %s::text[], %s::bytea[])
    with ordinality as given (topic, subject, event_id, envelope, place)
order by place

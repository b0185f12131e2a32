-- Claim the effect of events for a group; only those not yet claimed come back.
insert into inbox (consumer_group, epoch, source, event_id)
select %s, %s, source, event_id from unnest(%s::text[], %s::text[]) as given (source, event_id)
on conflict do nothing
returning source, event_id

-- Which trace an event belongs to, so that what it caused is found; rows written before have none.
alter table outbox add column trace uuid;
create index outbox_trace on outbox (trace) where trace is not null;

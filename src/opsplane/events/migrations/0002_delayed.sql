-- Events that are published later: the relay leaves a row alone until `deliver_at`.
alter table outbox add column deliver_at timestamptz;
drop index outbox_unpublished;
create index outbox_unpublished on outbox (id) where published_at is null and deliver_at is null;
create index outbox_delayed on outbox (deliver_at, id) where published_at is null and deliver_at is not null;

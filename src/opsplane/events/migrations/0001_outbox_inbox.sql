-- What every service database carries for events: the outbox, its counters per subject, the inbox.
create table outbox (
    id bigint generated always as identity primary key,
    topic text not null,
    subject text,
    event_id text not null,
    envelope bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    published_at timestamptz,
    stream_id text,
    sequence bigint
);
create index outbox_unpublished on outbox (id) where published_at is null;
create index outbox_published on outbox (topic, published_at, id) where published_at is not null;
create index outbox_event on outbox (event_id);

create table outbox_subject (
    topic text not null,
    subject text not null,
    last bigint not null,
    primary key (topic, subject)
) with (fillfactor = 80);

create table inbox (
    consumer_group text not null,
    epoch integer not null default 0,
    source text not null,
    event_id text not null,
    done_at timestamptz not null default clock_timestamp(),
    primary key (consumer_group, epoch, source, event_id)
);
create index inbox_done on inbox (done_at);

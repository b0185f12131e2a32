-- Alerts about topics with too many dead letters, and the messages about them.
-- told_at: when somebody was last told that there are too many; it outlives the alert, so that the cooldown does.
create table alert (
    topic text primary key,
    firing boolean not null,
    raised_at timestamptz not null,
    told_at timestamptz not null
);

create table alert_message (
    id bigint generated always as identity primary key,
    topic text not null,
    kind text not null check (kind in ('firing', 'resolved')),
    payload jsonb not null,
    created_at timestamptz not null,
    tries integer not null default 0,
    next_try_at timestamptz not null,
    sent_at timestamptz,
    given_up_at timestamptz,
    error text
);
create index alert_message_unsent on alert_message (id) where sent_at is null and given_up_at is null;
create index alert_message_created on alert_message (created_at);

-- Dead letters and their replays, in the operations database.
create table replay (
    id bigint generated always as identity primary key,
    selection jsonb not null,
    requested_by text not null,
    rate double precision check (rate > 0),
    state text not null default 'running' check (state in ('running', 'finished', 'cancelled')),
    total integer not null,
    resolved integer not null default 0,
    failed integer not null default 0,
    withdrawn integer not null default 0,
    due_at timestamptz not null default clock_timestamp(),
    created_at timestamptz not null default clock_timestamp(),
    finished_at timestamptz
);
create index replay_running on replay (id) where state = 'running';

-- state: waiting → replaying → resolved, or back to waiting when it fails again; waiting | replaying → discarded.
-- untidy: the streams do not yet show what this row says. obsolete: entries of `stream` it no longer stands for.
-- sent_in: the incarnation of the broker its replay was sent in.
create table dead_letter (
    id bigint generated always as identity primary key,
    stream text not null,
    stream_id text not null,
    obsolete text[] not null default '{}',
    untidy boolean not null default true,
    alias text,
    topic text not null,
    consumer_group text,
    consumer text,
    source_id text,
    event_id text,
    event_type text,
    event_source text,
    subject text,
    data bytea not null,
    reason text not null,
    error text,
    message text not null,
    fingerprint text not null,
    violations jsonb,
    attempts jsonb not null,
    failures integer not null default 1,
    first_failed_at timestamptz not null,
    last_failed_at timestamptz not null,
    state text not null default 'waiting' check (state in ('waiting', 'replaying', 'resolved', 'discarded')),
    replay_id bigint references replay,
    sent_in text,
    settled_at timestamptz,
    settled_by text,
    settled_reason text,
    unique (stream, stream_id)
);
create index dead_letter_open on dead_letter (topic, id) where state in ('waiting', 'replaying');
create index dead_letter_open_event on dead_letter (event_id) where state in ('waiting', 'replaying');
create index dead_letter_untidy on dead_letter (id) where untidy;
create index dead_letter_replay on dead_letter (replay_id, id) where state = 'replaying';
create index dead_letter_settled on dead_letter (settled_at) where state in ('resolved', 'discarded');

-- How far each dead letter stream was read.
create table dead_letter_position (
    stream text primary key,
    stream_id text not null
);

-- The dead letters in some of the states that match all conditions given; a condition that is null does not count.
create function dead_letters_matching(
    states text[], ids bigint[], event text, topic_like text, group_is text, reason_is text, fingerprint_is text,
    message_has text
) returns setof dead_letter language sql stable as $$
    select * from dead_letter
    where state = any (states)
      and (ids is null or id = any (ids))
      and (event is null or event_id = event)
      and (topic_like is null or topic like topic_like)
      and (group_is is null or consumer_group = group_is)
      and (reason_is is null or reason = reason_is)
      and (fingerprint_is is null or fingerprint = fingerprint_is)
      and (message_has is null or position(lower(message_has) in lower(message)) > 0)
$$;

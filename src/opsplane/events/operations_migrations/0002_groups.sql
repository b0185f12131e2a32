-- What survives a lost broker: its incarnations, the positions of groups in each, the pauses.
create table broker_incarnation (
    incarnation text primary key,
    since timestamptz not null default clock_timestamp(),
    lost_at timestamptz,
    rebuilt_at timestamptz
);

-- position: everything up to it was handled, or has a dead letter here. delivered: the last entry the group has read.
create table group_checkpoint (
    incarnation text not null references broker_incarnation on delete cascade,
    consumer_group text not null,
    stream text not null,
    position text not null,
    delivered text not null,
    pending integer not null,
    noted_at timestamptz not null default clock_timestamp(),
    primary key (incarnation, consumer_group, stream)
);

create table group_pause (
    consumer_group text primary key,
    paused_by text not null,
    reason text,
    paused_at timestamptz not null default clock_timestamp()
);

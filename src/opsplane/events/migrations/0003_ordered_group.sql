-- Who leads each ordered consumer group: every leader raises the epoch, and effects of an older one are refused.
create table ordered_group (
    consumer_group text primary key,
    epoch bigint not null,
    leader text not null,
    since timestamptz not null default clock_timestamp()
);

-- Epochs of groups: behind `since` (an id of the stream) events of the topic have their effect once more.
create table group_epoch (
    consumer_group text not null,
    topic text not null,
    epoch integer not null,
    since text not null,
    begun_by text not null,
    begun_at timestamptz not null default clock_timestamp(),
    primary key (consumer_group, topic, epoch)
);

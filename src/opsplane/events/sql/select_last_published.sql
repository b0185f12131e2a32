-- Where the events stand that were published in the last seconds of publishing, newest first.
with recursive topics as (
    (select topic from outbox where published_at is not null order by topic limit 1)
    union all
    select (
        select topic from outbox where published_at is not null and topic > topics.topic order by topic limit 1
    ) from topics where topics.topic is not null
), newest as (
    select max(last.published_at) as at from topics, lateral (
        select published_at from outbox where topic = topics.topic and published_at is not null
        order by published_at desc limit 1
    ) as last
)
select published.* from topics, newest, lateral (
    select id, topic, stream_id from outbox
    where topic = topics.topic and published_at > newest.at - make_interval(secs => %s)
) as published
order by split_part(stream_id, '-', 1)::numeric desc, split_part(stream_id, '-', 2)::numeric desc

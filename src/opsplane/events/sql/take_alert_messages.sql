-- The messages to try now, one a topic, the oldest first; nobody else tries them while this try lasts.
update alert_message set tries = tries + 1, next_try_at = %(now)s::timestamptz + make_interval(secs => %(lease)s)
where id in (
    select id from alert_message as message
    where sent_at is null and given_up_at is null and next_try_at <= %(now)s and not exists (
        select from alert_message as earlier
        where earlier.topic = message.topic and earlier.id < message.id
          and earlier.sent_at is null and earlier.given_up_at is null
    )
    order by id limit %(most)s for update skip locked
)
returning id, topic, kind, payload, tries, created_at

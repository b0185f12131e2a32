-- One page of the matching dead letters, the latest failure first, and how many there are in all (told even beside no row).
with matching as materialized (
    select id, last_failed_at from dead_letters_matching(%(states)s, %(chosen)s)
), page as (
    select id from matching order by last_failed_at desc, id desc limit %(limit)s offset %(offset)s
), shown as (
    select id, uid, topic, consumer_group, consumer, event_id, event_type, subject, reason, error, message, fingerprint,
           failures, jsonb_array_length(attempts) as attempts, first_failed_at, last_failed_at, state, replay_id,
           edited is not null as edited, data
    from dead_letter join page using (id)
)
select counted.total, shown.* from (select count(*) as total from matching) as counted left join shown on true
order by last_failed_at desc, id desc

-- The open dead letters of some topics by why they failed, those at least so many seconds old; an example of each.
select topic, reason, count(*) as count, min(first_failed_at) as oldest, min(id) as example,
    (array_agg(message order by last_failed_at desc))[1] as message,
    coalesce(array_agg(distinct consumer_group) filter (where consumer_group is not null), '{}') as groups
from dead_letter
where state in ('waiting', 'replaying') and topic = any (%(topics)s)
    and first_failed_at <= clock_timestamp() - make_interval(secs => %(age)s)
group by topic, reason
order by topic, count(*) desc, reason

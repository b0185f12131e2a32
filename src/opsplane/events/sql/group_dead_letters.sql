-- Matching open dead letters by what caused them, with the trend: how many came within the last hour and the one before.
select fingerprint, min(reason) as reason, min(error) as error, (array_agg(message order by last_failed_at desc))[1] as message,
       count(*) as count, array_agg(distinct topic) as topics,
       coalesce(array_agg(distinct consumer_group) filter (where consumer_group is not null), '{}') as groups,
       min(first_failed_at) as first_failed_at, max(last_failed_at) as last_failed_at, max(id) as example,
       count(*) filter (where last_failed_at > clock_timestamp() - interval '1 hour') as last_hour,
       count(*) filter (where last_failed_at <= clock_timestamp() - interval '1 hour'
                          and last_failed_at > clock_timestamp() - interval '2 hours') as hour_before
from dead_letters_matching('{waiting,replaying}', %s)
group by fingerprint order by count desc, fingerprint

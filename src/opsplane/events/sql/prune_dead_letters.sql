-- Forget dead letters settled longer ago than the retention.
delete from dead_letter where id in (
    select id from dead_letter
    where state in ('resolved', 'discarded') and not untidy
      and settled_at < clock_timestamp() - make_interval(secs => %s)
    limit 5000
)

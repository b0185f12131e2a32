-- Transactions that have been open for longer than some seconds.
select pid, datname as database, application_name as application, state,
    extract(epoch from clock_timestamp() - xact_start)::double precision as seconds
from pg_stat_activity
where xact_start < clock_timestamp() - make_interval(secs => %(seconds)s) and backend_type = 'client backend'
order by xact_start

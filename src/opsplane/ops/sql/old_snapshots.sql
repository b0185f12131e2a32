-- Transactions of any client, open for longer than some seconds, that keep dead rows from being removed.
select pid, datname as database, usename as user, application_name as application, state, xact_start as since,
    extract(epoch from clock_timestamp() - xact_start)::double precision as seconds
from pg_stat_activity
where xact_start < clock_timestamp() - make_interval(secs => %(seconds)s) and backend_type = 'client backend'
    and (backend_xmin is not null or backend_xid is not null)
order by xact_start

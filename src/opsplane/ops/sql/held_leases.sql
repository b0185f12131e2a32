-- The numbers of the workers whose lease is held by a session.
select objid::bigint as number from pg_locks
where locktype = 'advisory' and granted and classid::bigint = %(class)s
    and database = (select oid from pg_database where datname = current_database())

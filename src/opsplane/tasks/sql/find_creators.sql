-- Transactions that have read the table of queues and are not over: they may create tasks by what they read.
select distinct virtualtransaction as id from pg_locks
where locktype = 'relation' and relation = 'queue'::regclass and granted and pid <> pg_backend_pid()
    and database = (select oid from pg_database where datname = current_database())

-- End the sessions that a session waits for.
select pid, pg_terminate_backend(pid) as ended from unnest(pg_blocking_pids(%s)) as pid

-- The time, and seconds since the server started.
select clock_timestamp() as now, extract(epoch from clock_timestamp() - pg_postmaster_start_time())::double precision as seconds

-- The time as tasks get theirs.
select clock_timestamp() as now

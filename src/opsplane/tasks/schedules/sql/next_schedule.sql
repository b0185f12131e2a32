-- In how many seconds the next time of any schedule comes.
select extract(epoch from min(next_at) - %(now)s)::float8 as seconds from task_schedule where paused_at is null

-- Due and running tasks of each queue, each kind from the partial index that holds little else.
select queue, 'pending' as kind, count(*) as number from task where status = 0 and run_at <= now() group by queue
union all
select queue, 'pending', count(*) from task where status = 7 and run_at <= now() group by queue
union all
select queue, 'active', count(*) from task where status = 1 group by queue

-- The queues, tenants and types of held tasks that came due since the mark.
select distinct queue, tenant, task_type from task where status = 7 and run_at >= %(since)s and run_at <= now()

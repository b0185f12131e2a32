-- What happened to a task: the stored events, and those its row still tells by its own timestamps.
select at, kind, attempt, actor, detail from (
    select at, kind, attempt, actor, detail, 1 as place from task_event where task_id = %(id)s::uuid
    union all
    select created_at, 'created', null, requested_by, null, 0 from any_task where id = %(id)s::uuid
    union all
    select finished_at, 'step', attempt, null,
        jsonb_build_object('step', name, 'seconds', round(extract(epoch from finished_at - started_at), 3)), 1
    from task_step where task_id = %(id)s::uuid
    union all
    select started_at, 'started', attempt, 'worker ' || worker, null, 1
    from any_task where id = %(id)s::uuid and started_at is not null
    union all
    select completed_at, (array['completed', 'failed', 'cancelled'])[status - 2], attempt, null,
        case when error_kind is not null and status = 4
            then jsonb_build_object('error', error_kind, 'message', error_message) end, 2
    from any_task where id = %(id)s::uuid and completed_at is not null
) as told
order by at, place

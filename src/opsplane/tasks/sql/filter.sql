-- The condition of a filter of tasks, which other statements name {filter}.
((%(statuses)s::smallint[] is null or status = any(%(statuses)s::smallint[]))
    and (%(scheduled)s::boolean is null or (coalesce(scheduled_at > now(), false) and status in (0, 7)) = %(scheduled)s::boolean)
    and (%(task_type)s::text is null or task_type = %(task_type)s::text)
    and (%(entity_type)s::text is null or entity_type = %(entity_type)s::text)
    and (%(parent_id)s::uuid is null or parent_id = %(parent_id)s::uuid)
    and (%(queue)s::text is null or queue = %(queue)s::text)
    and (%(tenant)s::text is null or tenant = %(tenant)s::text)
    and (%(requested_by)s::text is null or requested_by = %(requested_by)s::text)
    and (%(lowest)s::uuid is null or id >= %(lowest)s::uuid)
    and (%(created_from)s::timestamptz is null or created_at >= %(created_from)s::timestamptz)
    and (%(created_to)s::timestamptz is null or created_at < %(created_to)s::timestamptz)
    and (
        %(search)s::text is null
        or strpos(lower(coalesce(file_name, '')), lower(%(search)s::text)) > 0
        or strpos(lower(task_type), lower(%(search)s::text)) > 0
        or strpos(lower(coalesce(error_message, '')), lower(%(search)s::text)) > 0
        or strpos(id::text, lower(%(search)s::text)) = 1
    ))

-- Append what happened to tasks.
insert into task_event (task_id, at, kind, attempt, actor, detail)
select task_id, coalesce(at, clock_timestamp()), kind, attempt, actor, detail from unnest(
    %(ids)s::uuid[], %(ats)s::timestamptz[], %(kinds)s::text[], %(attempts)s::smallint[], %(actors)s::text[],
    %(details)s::jsonb[]
) as told (task_id, at, kind, attempt, actor, detail)

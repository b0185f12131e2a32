-- Append what happened to tasks.
insert into task_event (task_id, at, kind, attempt, actor, detail)
select * from unnest(
    %(ids)s::uuid[], %(ats)s::timestamptz[], %(kinds)s::text[], %(attempts)s::smallint[], %(actors)s::text[],
    %(details)s::jsonb[]
)

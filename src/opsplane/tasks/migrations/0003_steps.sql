-- What finished steps of tasks returned, kept as long as their task: a step that is here is not run again.
create table task_step (
    task_id uuid not null,
    name text not null,
    attempt smallint not null,
    result json not null,                 -- not jsonb: it comes back as it was given, \u0000 and big numbers included
    started_at timestamptz not null,
    finished_at timestamptz not null,
    primary key (task_id, name)
);

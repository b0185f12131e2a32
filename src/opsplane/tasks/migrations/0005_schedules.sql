-- What is created again and again, and what was decided at each of its times.
create table task_schedule (
    name text primary key,
    cron text not null,
    zone text not null,
    overlap text not null check (overlap in ('skip', 'allow', 'cancel')),
    missed text not null check (missed in ('skip', 'once', 'all')),
    grace_seconds double precision not null,
    task_type text not null,
    entity_type text,
    params jsonb not null,
    queue text,
    priority smallint not null,
    max_retries integer,
    timeout_seconds double precision,
    tenant text not null,
    requested_by text,
    decided_to timestamptz not null,      -- every time up to here was decided
    next_at timestamptz,                  -- the first time after it; null: there is none
    last_task uuid,
    paused_by text,
    paused_at timestamptz,
    reason text,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    updated_by text not null
);
create index task_schedule_due on task_schedule (next_at) where paused_at is null;

create table task_schedule_run (
    schedule text not null references task_schedule (name) on delete cascade,
    due_at timestamptz not null,
    at timestamptz not null,
    outcome text not null check (outcome in ('created', 'overlapped', 'missed', 'refused')),
    task_id uuid,
    detail text,
    primary key (schedule, due_at)        -- a time is decided once
);

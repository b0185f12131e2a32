-- Unfinished tasks only: small, hot. A finished task is deleted here and inserted into task_history.
create table task (
    id uuid primary key,
    created_at timestamptz not null,
    run_at timestamptz not null,          -- due from; never before the creating transaction had its xid (claim mark)
    claimed_at timestamptz,
    started_at timestamptz,               -- the real start of the running attempt
    updated_at timestamptz,
    claim_token bigint,                   -- of the running attempt; every write-back is fenced by it
    worker integer,
    status smallint not null,             -- states.Code: 0 ready (or scheduled), 1 processing, 2 waiting for its upload
    prio smallint not null,               -- 0 first; the API's priority is 9 - prio
    emit smallint not null,               -- 0 none, 1 ends, 2 all
    attempt smallint not null default 0,
    retry_count smallint not null default 0,
    rescues smallint not null default 0,
    max_retries smallint not null,
    timeout_seconds real,
    queue text not null,
    task_type text not null,
    tenant text not null,
    params jsonb not null,
    scheduled_at timestamptz,
    entity_type text,
    requested_by text,
    unique_key text,
    waits_for text,
    waits_until timestamptz,
    file_name text,
    file_size bigint,
    sha256 text,
    input_key text,
    callback_url text,
    parent_id uuid,
    traceparent text,
    cancel_requested_at timestamptz,
    cancel_requested_by text,
    total_records bigint,
    processed_records bigint not null default 0,
    failed_records bigint not null default 0,
    message text,
    error_kind text,                      -- of the last failed attempt
    error_message text
) with (
    fillfactor = 85,
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.2, autovacuum_analyze_threshold = 5000
);
create index task_claim on task (queue, prio, run_at, id) where status = 0;
create index task_running on task (worker) where status = 1;
create index task_waiting on task (waits_until) where status = 2;
create unique index task_unique_key on task (task_type, unique_key) where unique_key is not null;
create index task_requested_by on task (requested_by, id) where requested_by is not null;
create sequence task_claim_token;

-- Finished tasks, by the day they finished.
create table task_history (
    id uuid not null,
    created_at timestamptz not null,
    started_at timestamptz,
    completed_at timestamptz not null,
    status smallint not null,             -- 3 completed, 4 failed, 5 cancelled
    prio smallint not null,
    emit smallint not null,
    attempt smallint not null,
    retry_count smallint not null,
    max_retries smallint not null,
    worker integer,
    timeout_seconds real,
    queue text not null,
    task_type text not null,
    tenant text not null,
    params jsonb not null,
    scheduled_at timestamptz,
    entity_type text,
    requested_by text,
    unique_key text,
    file_name text,
    file_size bigint,
    sha256 text,
    input_key text,
    callback_url text,
    parent_id uuid,
    traceparent text,
    cancel_requested_at timestamptz,
    cancel_requested_by text,
    total_records bigint,
    processed_records bigint not null,
    failed_records bigint not null,
    message text,
    error_kind text,
    error_message text,
    result jsonb,
    result_file jsonb,
    error_file jsonb,
    primary key (id, completed_at)
) partition by range (completed_at);
create index task_history_requested_by on task_history (requested_by, id) where requested_by is not null;
create index task_history_failed on task_history (id) where status = 4;

-- What a task's row can no longer tell: earlier attempts, retries, rescues, who asked for what. The events of the
-- last pass (created, started, finished) are the row's own timestamps and are not written twice.
create table task_event (
    task_id uuid not null,
    at timestamptz not null default clock_timestamp(),
    kind text not null,
    attempt smallint,
    actor text,
    detail jsonb
) partition by range (at);
create index task_event_task on task_event (task_id, at);

create sequence task_log_number;
create table task_log (
    task_id uuid not null,
    number bigint not null default nextval('task_log_number'),
    at timestamptz not null default clock_timestamp(),
    level text not null,
    message text not null,
    fields jsonb
) partition by range (at);
create index task_log_task on task_log (task_id, number);

-- The same request sent again, recognised by its Idempotency-Key.
create table task_idempotency (
    requested_by text not null,
    key text not null,
    fingerprint text not null,
    task_id uuid not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (requested_by, key)
);
create index task_idempotency_age on task_idempotency (created_at);

create table queue (
    name text primary key,
    paused boolean not null default false,
    paused_by text,
    paused_at timestamptz,
    reason text,
    weight real not null default 1 check (weight > 0),
    concurrency integer check (concurrency > 0)
);

create table worker (
    number integer primary key generated always as identity,
    name text not null,
    host text not null,
    pid integer not null,
    task_types text[] not null,
    slots integer not null,
    running integer not null default 0,
    beat bigint not null default 0,
    beat_at timestamptz not null default clock_timestamp(),
    started_at timestamptz not null default clock_timestamp(),
    stopping boolean not null default false,
    gone_at timestamptz,
    gone_reason text
);
create index worker_present on worker (number) where gone_at is null;

-- Make the daily partitions from today to `ahead` days from now; returns how many were missing.
create function make_task_partitions(ahead integer) returns integer
language plpgsql as $$
declare
    parent text;
    day date;
    part text;
    made integer := 0;
begin
    perform pg_advisory_xact_lock(hashtext('make_task_partitions'));
    foreach parent in array array['task_history', 'task_event', 'task_log'] loop
        for offset_days in 0..ahead loop
            day := (now() at time zone 'UTC')::date + offset_days;
            part := parent || '_' || to_char(day, 'YYYYMMDD');
            if to_regclass(part) is null then
                -- attached, not created as a partition: that would lock out every writer of the parent
                execute format('create table %I (like %I including all)', part, parent);
                execute format(
                    'alter table %I attach partition %I for values from (%L) to (%L)',
                    parent, part, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC'
                );
                made := made + 1;
            end if;
        end loop;
    end loop;
    return made;
end
$$;
select make_task_partitions(7);

-- Unfinished and finished tasks as one list, newest id first by the primary keys.
create view any_task as
select
    id, created_at, run_at, started_at, null::timestamptz as completed_at, coalesce(updated_at, created_at) as updated_at,
    status, prio, emit, attempt, retry_count, max_retries, worker, claim_token, timeout_seconds, queue, task_type,
    tenant, params, scheduled_at, entity_type, requested_by, unique_key, waits_for, file_name, file_size, sha256,
    input_key, callback_url, parent_id, traceparent, cancel_requested_at, total_records, processed_records,
    failed_records, message, error_kind, error_message,
    null::jsonb as result, null::jsonb as result_file, null::jsonb as error_file
from task
union all
select
    id, created_at, completed_at, started_at, completed_at, completed_at,
    status, prio, emit, attempt, retry_count, max_retries, worker, null, timeout_seconds, queue, task_type,
    tenant, params, scheduled_at, entity_type, requested_by, unique_key, null, file_name, file_size, sha256,
    input_key, callback_url, parent_id, traceparent, cancel_requested_at, total_records, processed_records,
    failed_records, message, error_kind, error_message,
    result, result_file, error_file
from task_history;

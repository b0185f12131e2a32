-- Limits, and queues whose tenants take turns: such tasks are held (states.Code.HELD) until the dispatcher lets them go.
create table task_limit (
    kind text not null check (kind in ('queue', 'type', 'tenant')),
    name text not null,                   -- of a tenant: * is each one that has no limit of its own
    concurrency integer check (concurrency > 0),
    rate integer check (rate > 0),        -- so many starts
    per_seconds double precision check (per_seconds > 0),
    updated_at timestamptz not null default clock_timestamp(),
    updated_by text not null,
    primary key (kind, name),
    check (concurrency is not null or rate is not null),
    check ((rate is null) = (per_seconds is null))
);
alter table queue drop column concurrency, add column fair boolean not null default false;
alter table task add column due_at timestamptz;  -- of a task that was let go: when it was due; run_at is when it was let go
create index task_held on task (queue, tenant, task_type, prio, run_at, id) where status = 7;
create index task_held_due on task (run_at) where status = 7;

-- The status of a task that could be claimed: 7 where a limit or a turn holds it, 0 where nothing does.
create function ready_status(of_queue text, of_type text, of_tenant text) returns smallint
language sql stable
return case when exists (
    select from task_limit
    where (kind = 'queue' and name = of_queue) or (kind = 'type' and name = of_type)
        or (kind = 'tenant' and name in (of_tenant, '*'))
) or exists (select from queue where queue.name = of_queue and queue.fair) then 7 else 0 end;

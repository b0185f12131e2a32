-- Fan-outs: what a parent waits for. Its children are the tasks with its id as parent whose ids lie between two bounds.
create table fan_out (
    number bigint primary key generated always as identity,
    parent_id uuid not null,
    name text not null,
    first_id uuid,                        -- the lowest and the highest id of the children; null when there are none
    last_id uuid,
    policy text not null,                 -- all, any, ignore, or how many may fail: 10, 2.5%
    total integer not null,
    completed integer not null default 0,
    failed integer not null default 0,
    cancelled integer not null default 0,
    callback_type text,
    callback_id uuid,
    created_at timestamptz not null default clock_timestamp(),
    joined_at timestamptz,                -- null while the parent waits
    unique (parent_id, name)
);
create index fan_out_waiting on fan_out (number) where joined_at is null;

-- What completions, cancels and retries of children add to the counts, one row for each batch and fan-out: children that
-- end at once never wait for each other's row. The joiner folds them into the counts.
create table fan_out_tally (
    number bigint primary key generated always as identity,
    fan_out bigint not null,
    completed integer not null,
    failed integer not null,
    cancelled integer not null
);
create index fan_out_tally_of on fan_out_tally (fan_out);

-- Fan-outs with their counts as of this moment, what is not folded yet included.
create view fan_out_now as
select
    fan_out.number, fan_out.parent_id, fan_out.name, fan_out.policy, fan_out.total,
    (fan_out.completed + told.completed)::integer as completed, (fan_out.failed + told.failed)::integer as failed,
    (fan_out.cancelled + told.cancelled)::integer as cancelled,
    fan_out.callback_type, fan_out.callback_id, fan_out.created_at, fan_out.joined_at
from fan_out
cross join lateral (
    select
        coalesce(sum(tally.completed), 0) as completed, coalesce(sum(tally.failed), 0) as failed,
        coalesce(sum(tally.cancelled), 0) as cancelled
    from fan_out_tally as tally where tally.fan_out = fan_out.number
) as told;

create index task_parent on task (parent_id) where parent_id is not null;
create index task_history_parent on task_history (parent_id) where parent_id is not null;
create index task_joining on task (id) where status = 6;  -- states.Code.JOINING

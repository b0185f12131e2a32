-- What finished tasks with a callback_url owe its receiver: one message each, noted by whatever finishes the task.
create table task_callback (
    task_id uuid primary key,
    id uuid not null default gen_random_uuid(),  -- of the message, the same at every try: its webhook-id
    url text not null,
    receiver text not null,                      -- scheme, host and port: what shares a limit of tries at the same time
    finished_at timestamptz not null,
    state text not null default 'waiting' check (state in ('waiting', 'delivered', 'gone', 'dead')),
    tries smallint not null default 0,           -- since it became due or was last asked for
    due_at timestamptz not null default clock_timestamp(),  -- while it is tried: when it is due again if nobody notes the end
    tried_at timestamptz,
    last_status smallint,
    last_error text
);
create index task_callback_due on task_callback (receiver, due_at) where state = 'waiting';
create index task_callback_dead on task_callback (tried_at) where state = 'dead';

-- A trigger, so that no way into the history is forgotten; its condition is all that a task without a callback costs.
create function note_task_callback() returns trigger language plpgsql as $$
begin
    insert into task_callback (task_id, url, receiver, finished_at)
    values (
        new.id, new.callback_url, coalesce(lower(substring(new.callback_url from '^[^/?#]*//[^/?#]*')), ''), new.completed_at
    );
    return null;
end
$$;
create trigger task_history_callback after insert on task_history
for each row when (new.callback_url is not null) execute function note_task_callback();

-- A task that runs again, or is deleted, owes nothing until it has finished again.
create function forget_task_callback() returns trigger language plpgsql as $$
begin
    delete from task_callback where task_id = old.id;
    return null;
end
$$;
create trigger task_history_no_callback after delete on task_history
for each row when (old.callback_url is not null) execute function forget_task_callback();

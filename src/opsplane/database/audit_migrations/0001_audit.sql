-- The audit log of the operations database: append only.
create table audit (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    actor text not null,
    roles text[] not null,
    action text not null,
    parameters jsonb not null,
    reason text,
    outcome text not null
);
create index audit_at on audit (at);

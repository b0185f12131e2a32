-- The schema registry: what is active here decides validation everywhere.
create table schema_subject (
    subject text primary key,
    mode text not null default 'BACKWARD'
        check (mode in ('NONE', 'BACKWARD', 'FORWARD', 'FULL',
                        'BACKWARD_TRANSITIVE', 'FORWARD_TRANSITIVE', 'FULL_TRANSITIVE')),
    mode_set_by text,
    mode_set_at timestamptz
);

-- document is json, not jsonb: the order in which its author wrote it is kept.
create table schema_version (
    subject text not null references schema_subject,
    version integer not null check (version > 0),
    document json not null,
    digest text not null,
    state text not null default 'draft' check (state in ('draft', 'active', 'deprecated')),
    scope text not null check (scope in ('data', 'event')),
    formats text not null check (formats in ('assert', 'annotate')),
    registered_by text not null,
    registered_at timestamptz not null default clock_timestamp(),
    promoted_by text,
    promoted_at timestamptz,
    deprecated_by text,
    deprecated_at timestamptz,
    primary key (subject, version)
);

-- The table that remembers which migration of which source was applied.
create table if not exists opsplane_migration (
    source text not null,
    number integer not null,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default clock_timestamp(),
    primary key (source, number)
)

-- Breakers an operator holds open: like a pause this outlives the broker's memory.
create table breaker_hold (
    breaker text primary key,
    held_by text not null,
    reason text not null,
    held_at timestamptz not null default clock_timestamp()
);

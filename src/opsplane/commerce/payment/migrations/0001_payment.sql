-- Payments, refunds, and how the simulated processor behaves.
create table payment (
    id uuid primary key default gen_random_uuid(),
    order_id uuid not null unique,
    customer_id text not null,
    amount numeric(20, 3) not null check (amount >= 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    status text not null check (status in ('charging', 'cancelling', 'confirmed', 'failed', 'voided', 'refunding', 'refunded')),
    reference text,
    reason text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
) with (fillfactor = 85);
create index payment_mine on payment (customer_id, created_at desc, id);

create table refund (
    id uuid primary key default gen_random_uuid(),
    payment_id uuid not null unique references payment,
    amount numeric(20, 3) not null,
    currency text not null,
    reference text not null,
    reason text not null,
    created_at timestamptz not null default now()
);

create table simulated_processor (
    single boolean primary key default true check (single),
    latency_ms integer not null default 20 check (latency_ms between 0 and 60000),
    failure_rate numeric not null default 0 check (failure_rate between 0 and 1),
    outage boolean not null default false
);
insert into simulated_processor default values;

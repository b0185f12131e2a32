-- Orders with their lines and history, answers to repeated requests, and prices as the catalog tells them.
create table customer_order (
    id uuid primary key default gen_random_uuid(),
    customer_id text not null,
    status text not null default 'PENDING'
        check (status in ('PENDING', 'CONFIRMED', 'PROCESSING', 'SHIPPED', 'DELIVERED', 'CANCELLED')),
    reason text,
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    total numeric(20, 3) not null check (total >= 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
) with (fillfactor = 85);
create index customer_order_mine on customer_order (customer_id, created_at desc, id);
create index customer_order_newest on customer_order (created_at desc, id);
create index customer_order_unfinished on customer_order (status, created_at) where status = 'PENDING';

create table order_line (
    order_id uuid not null references customer_order on delete cascade,
    line integer not null,
    product_id uuid not null,
    sku text not null,
    name text not null,
    quantity integer not null check (quantity > 0),
    unit_price numeric(15, 3) not null check (unit_price >= 0),
    primary key (order_id, line)
);

create table order_history (
    order_id uuid not null references customer_order on delete cascade,
    status text not null,
    reason text,
    at timestamptz not null default clock_timestamp()
);
create index order_history_of on order_history (order_id, at);

create table answered_request (
    customer_id text not null,
    key text not null,
    request_hash bytea not null,
    answer bytea,
    created_at timestamptz not null default now(),
    primary key (customer_id, key)
);
create index answered_request_age on answered_request (created_at);

create table price (
    product_id uuid primary key,
    sku text not null default '',
    name text not null default '',
    for_sale boolean not null default false,
    facts_version bigint not null default 0,
    price numeric(15, 3),
    currency text,
    price_version bigint not null default 0
) with (fillfactor = 85);

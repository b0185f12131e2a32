-- Customers and the refresh tokens they hold.
create table customer (
    id uuid primary key default gen_random_uuid(),
    email text not null unique check (email = lower(email) and char_length(email) <= 320),
    name text not null check (char_length(name) between 1 and 200),
    phone text check (char_length(phone) <= 40),
    password_hash text,
    roles text[] not null default '{customer}',
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index customer_newest on customer (created_at desc, id);

create table refresh_token (
    hash bytea primary key,
    family uuid not null,
    customer_id uuid not null references customer on delete cascade,
    client_type text not null,
    issued_at timestamptz not null default now(),
    expires_at timestamptz not null,
    used_at timestamptz
);
create index refresh_token_family on refresh_token (family);
create index refresh_token_expiry on refresh_token (expires_at);
create index refresh_token_customer on refresh_token (customer_id);

-- Products, and what orders hold of their stock.
create table product (
    id uuid primary key default gen_random_uuid(),
    sku text not null unique check (char_length(sku) between 1 and 64),
    name text not null check (char_length(name) between 1 and 300),
    description text not null default '' check (char_length(description) <= 10000),
    category text not null check (char_length(category) between 1 and 100),
    price numeric(15, 3) not null check (price >= 0),
    currency text not null check (currency ~ '^[A-Z]{3}$'),
    stock integer not null default 0 check (stock >= 0),
    active boolean not null default true,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    constraint price_fits_currency check (
        scale(trim_scale(price)) <= case
            when currency in ('BIF', 'CLP', 'DJF', 'GNF', 'ISK', 'JPY', 'KMF', 'KRW', 'PYG', 'RWF', 'UGX', 'VND', 'VUV', 'XAF', 'XOF', 'XPF') then 0
            when currency in ('BHD', 'IQD', 'JOD', 'KWD', 'LYD', 'OMR', 'TND') then 3
            else 2
        end
    )
) with (fillfactor = 85);
create index product_category on product (category, sku);

create table reservation (
    order_id uuid primary key,
    state text not null check (state in ('new', 'reserved', 'committed', 'released', 'refused')),
    updated_at timestamptz not null default now()
);

create table reservation_line (
    order_id uuid not null references reservation on delete cascade,
    product_id uuid not null,
    quantity integer not null check (quantity > 0),
    primary key (order_id, product_id)
);

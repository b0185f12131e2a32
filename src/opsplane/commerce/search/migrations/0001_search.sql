-- Products as they can be found; facts, price and stock carry a version each, so that events may come in any order.
create table product_index (
    product_id uuid primary key,
    sku text not null default '',
    name text not null default '',
    description text not null default '',
    category text not null default '',
    on_sale boolean not null default false,
    terms tsvector not null default ''::tsvector,
    facts_version bigint not null default 0,
    price numeric(15, 3),
    currency text,
    price_version bigint not null default 0,
    stock integer,
    stock_version bigint not null default 0,
    updated_at timestamptz not null default now()
) with (fillfactor = 70);
create index product_index_terms on product_index using gin (terms) with (fastupdate = off);
create index product_index_category on product_index (category) where on_sale;

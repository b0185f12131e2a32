-- Know what products cost, unless something newer is known.
insert into product_index as known (product_id, price, currency, price_version)
select * from unnest(%(products)s::uuid[], %(prices)s::numeric[], %(currencies)s::text[], %(versions)s::bigint[])
on conflict (product_id) do update
set price = excluded.price, currency = excluded.currency, price_version = excluded.price_version
where known.price_version < excluded.price_version

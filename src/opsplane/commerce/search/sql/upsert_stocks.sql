-- Know how many pieces there are, unless something newer is known.
insert into product_index as known (product_id, stock, stock_version)
select * from unnest(%(products)s::uuid[], %(stocks)s::integer[], %(versions)s::bigint[])
on conflict (product_id) do update
set stock = excluded.stock, stock_version = excluded.stock_version
where known.stock_version < excluded.stock_version

-- Know what products are called and whether they are sold, unless something newer is known.
insert into price as known (product_id, sku, name, for_sale, facts_version)
select * from unnest(
    %(products)s::uuid[], %(skus)s::text[], %(names)s::text[], %(for_sale)s::boolean[], %(versions)s::bigint[]
)
on conflict (product_id) do update
set sku = excluded.sku, name = excluded.name, for_sale = excluded.for_sale, facts_version = excluded.facts_version
where known.facts_version < excluded.facts_version

-- Know what products are, unless something newer is known.
insert into product_index as known (product_id, sku, name, description, category, on_sale, terms, facts_version)
select product_id, sku, name, description, category, on_sale, terms::tsvector, version
from unnest(
    %(products)s::uuid[], %(skus)s::text[], %(names)s::text[], %(descriptions)s::text[], %(categories)s::text[],
    %(on_sale)s::boolean[], %(terms)s::text[], %(versions)s::bigint[]
) as told (product_id, sku, name, description, category, on_sale, terms, version)
on conflict (product_id) do update
set sku = excluded.sku,
    name = excluded.name,
    description = excluded.description,
    category = excluded.category,
    on_sale = excluded.on_sale,
    terms = excluded.terms,
    facts_version = excluded.facts_version,
    updated_at = now()
where known.facts_version < excluded.facts_version

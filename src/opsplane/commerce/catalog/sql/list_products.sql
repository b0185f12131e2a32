-- A page of the products on sale, and how many there are.
select id, sku, name, description, category, price, currency, stock, active, version, created_at, updated_at, count(*) over () as total
from product
where active and (%(category)s::text is null or category = %(category)s)
order by sku
limit %(limit)s offset %(offset)s

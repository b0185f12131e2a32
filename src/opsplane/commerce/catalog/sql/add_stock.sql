-- Add to the stock of some products (a negative number takes out).
update product
set stock = product.stock + change.delta, version = product.version + 1, updated_at = now()
from unnest(%(products)s::uuid[], %(deltas)s::integer[]) as change (id, delta)
where product.id = change.id
returning product.id, product.sku, product.stock, product.version, change.delta

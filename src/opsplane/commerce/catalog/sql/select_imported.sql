-- The products an import has just merged, by sku.
select id, sku, name, description, category, price, currency, stock, active, version, created_at, updated_at from product where sku = any(%(skus)s) order by sku

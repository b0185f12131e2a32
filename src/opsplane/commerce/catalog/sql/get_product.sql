-- One product.
select id, sku, name, description, category, price, currency, stock, active, version, created_at, updated_at from product where id = %(id)s

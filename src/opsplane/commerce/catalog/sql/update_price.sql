-- Set the price of a product.
update product
set price = %(price)s, currency = %(currency)s, version = version + 1, updated_at = now()
where id = %(id)s
returning id, sku, name, description, category, price, currency, stock, active, version, created_at, updated_at

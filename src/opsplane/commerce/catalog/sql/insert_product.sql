-- Add a product; no row when the sku is taken.
insert into product (sku, name, description, category, price, currency, stock, active)
values (%(sku)s, %(name)s, %(description)s, %(category)s, %(price)s, %(currency)s, %(stock)s, %(active)s)
on conflict (sku) do nothing
returning id, sku, name, description, category, price, currency, stock, active, version, created_at, updated_at

-- Change what is told of a product; null leaves a fact as it is.
update product
set name = coalesce(%(name)s, name),
    description = coalesce(%(description)s, description),
    category = coalesce(%(category)s, category),
    active = coalesce(%(active)s, active),
    version = version + 1,
    updated_at = now()
where id = %(id)s
returning id, sku, name, description, category, price, currency, stock, active, version, created_at, updated_at

-- Remove a product.
delete from product where id = %(id)s returning id, sku, version + 1 as version

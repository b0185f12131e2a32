-- The stock of some products, locked in the order imports lock them.
select id, sku, stock from product where id = any(%(products)s) order by sku for update

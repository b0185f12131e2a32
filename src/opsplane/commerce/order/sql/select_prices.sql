-- What some products cost now.
select product_id, sku, name, for_sale, price, currency from price where product_id = any(%(products)s)

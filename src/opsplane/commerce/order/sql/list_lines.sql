-- The lines of some orders.
select order_id, line, product_id, sku, name, quantity, unit_price
from order_line
where order_id = any(%(orders)s)
order by order_id, line

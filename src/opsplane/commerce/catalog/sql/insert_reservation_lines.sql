-- Note what was taken out of stock for an order.
insert into reservation_line (order_id, product_id, quantity)
select %(order_id)s, line.product_id, line.quantity
from unnest(%(products)s::uuid[], %(quantities)s::integer[]) as line (product_id, quantity)

-- The lines of a new order.
insert into order_line (order_id, line, product_id, sku, name, quantity, unit_price)
select %(order_id)s, line.number, line.product_id, line.sku, line.name, line.quantity, line.unit_price
from unnest(
    %(products)s::uuid[], %(skus)s::text[], %(names)s::text[], %(quantities)s::integer[], %(prices)s::numeric[]
) with ordinality as line (product_id, sku, name, quantity, unit_price, number)

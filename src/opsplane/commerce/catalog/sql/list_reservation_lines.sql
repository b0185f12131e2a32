-- What was taken out of stock for an order.
select product_id, quantity from reservation_line where order_id = %(order_id)s

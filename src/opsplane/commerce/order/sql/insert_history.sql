-- Note a status an order has reached.
insert into order_history (order_id, status, reason) values (%(order_id)s, %(status)s, %(reason)s)

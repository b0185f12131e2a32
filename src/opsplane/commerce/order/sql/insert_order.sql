-- A new order.
insert into customer_order (customer_id, currency, total)
values (%(customer_id)s, %(currency)s, %(total)s)
returning id, customer_id, status, reason, currency, total, created_at, updated_at

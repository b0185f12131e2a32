-- The payment of an order; no row when it has one.
insert into payment (order_id, customer_id, amount, currency, status, reason)
values (%(order_id)s, %(customer_id)s, %(amount)s, %(currency)s, %(status)s, %(reason)s)
on conflict (order_id) do nothing
returning id, order_id, customer_id, amount, currency, status, reference, reason, created_at, updated_at

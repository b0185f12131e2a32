-- Note the outcome of a charge; when the order was cancelled meanwhile its row is there and is returned as it was.
insert into payment (order_id, customer_id, amount, currency, status, reference, reason)
values (%(order_id)s, %(customer_id)s, %(amount)s, %(currency)s, %(status)s, %(reference)s, %(reason)s)
on conflict (order_id) do nothing
returning id, order_id, customer_id, amount, currency, status, reference, reason, created_at, updated_at

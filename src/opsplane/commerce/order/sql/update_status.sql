-- Move an order to another status.
update customer_order
set status = %(status)s, reason = %(reason)s, updated_at = now()
where id = %(id)s
returning id, customer_id, status, reason, currency, total, created_at, updated_at

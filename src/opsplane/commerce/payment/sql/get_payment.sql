-- One payment.
select id, order_id, customer_id, amount, currency, status, reference, reason, created_at, updated_at from payment where id = %(id)s

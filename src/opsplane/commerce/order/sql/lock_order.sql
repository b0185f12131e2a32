-- One order, kept from changing until the transaction ends.
select id, customer_id, status, reason, currency, total, created_at, updated_at from customer_order where id = %(id)s for update

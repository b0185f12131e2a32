-- Move a payment to another status.
update payment
set status = %(status)s,
    reference = coalesce(%(reference)s, reference),
    reason = coalesce(%(reason)s, reason),
    updated_at = now()
where id = %(id)s
returning id, order_id, customer_id, amount, currency, status, reference, reason, created_at, updated_at

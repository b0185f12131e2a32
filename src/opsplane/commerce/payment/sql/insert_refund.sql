-- Note that money was given back; no row when it was before.
insert into refund (payment_id, amount, currency, reference, reason)
values (%(payment_id)s, %(amount)s, %(currency)s, %(reference)s, %(reason)s)
on conflict (payment_id) do nothing
returning id

-- A page of payments, newest first, and how many there are; of one customer or of all, of one order or of all.
select id, order_id, customer_id, amount, currency, status, reference, reason, created_at, updated_at, count(*) over () as total
from payment
where (%(customer_id)s::text is null or customer_id = %(customer_id)s)
    and (%(order_id)s::uuid is null or order_id = %(order_id)s)
order by created_at desc, id
limit %(limit)s offset %(offset)s

-- A page of orders, newest first, and how many there are; of one customer, or of all.
select id, customer_id, status, reason, currency, total, created_at, updated_at, count(*) over () as total_count
from customer_order
where (%(customer_id)s::text is null or customer_id = %(customer_id)s)
    and (%(status)s::text is null or status = %(status)s)
order by created_at desc, id
limit %(limit)s offset %(offset)s

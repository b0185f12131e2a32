-- How many payments there are, of one customer or of all, of one order or of all.
select count(*) as total
from payment
where (%(customer_id)s::text is null or customer_id = %(customer_id)s)
    and (%(order_id)s::uuid is null or order_id = %(order_id)s)

-- How many orders there are, of one customer or of all.
select count(*) as total_count
from customer_order
where (%(customer_id)s::text is null or customer_id = %(customer_id)s)
    and (%(status)s::text is null or status = %(status)s)

-- How many products are on sale.
select count(*) as total from product where active and (%(category)s::text is null or category = %(category)s)

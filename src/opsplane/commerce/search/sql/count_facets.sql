-- How many of the products that match are in each category, whichever category is asked for.
select category, count(*) as products, count(*) filter (where coalesce(stock, 0) > 0) as in_stock,
    min(price) as lowest, max(price) as highest
from product_index
where on_sale
    and price is not null
    and (%(terms)s::text is null or terms @@ %(terms)s::tsquery)
    and (%(min_price)s::numeric is null or price >= %(min_price)s)
    and (%(max_price)s::numeric is null or price <= %(max_price)s)
    and (%(currency)s::text is null or currency = %(currency)s)
    and (%(in_stock)s::boolean is null or (coalesce(stock, 0) > 0) = %(in_stock)s)
group by category
order by products desc, category
limit 100

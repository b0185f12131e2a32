-- A page of the products that match, in the wanted order, and how many there are.
select product_id, sku, name, description, category, price, currency, coalesce(stock, 0) as stock, count(*) over () as total
from product_index
where on_sale
    and price is not null
    and (%(terms)s::text is null or terms @@ %(terms)s::tsquery)
    and (%(min_price)s::numeric is null or price >= %(min_price)s)
    and (%(max_price)s::numeric is null or price <= %(max_price)s)
    and (%(currency)s::text is null or currency = %(currency)s)
    and (%(in_stock)s::boolean is null or (coalesce(stock, 0) > 0) = %(in_stock)s)
    and (%(category)s::text is null or category = %(category)s)
order by
    case when %(sort)s = 'relevance' and %(terms)s::text is not null then ts_rank(terms, %(terms)s::tsquery) end desc nulls last,
    case when %(sort)s = 'price' then price end asc nulls last,
    case when %(sort)s = '-price' then price end desc nulls last,
    case when %(sort)s = 'newest' then updated_at end desc nulls last,
    case when %(sort)s <> 'newest' then name end,
    sku
limit %(limit)s offset %(offset)s

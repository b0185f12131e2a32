-- A page of customers, newest first, and how many there are; those whose name or address has the text.
select id, email, name, phone, roles, version, created_at, updated_at, count(*) over () as total
from customer
where %(text)s::text is null or strpos(lower(name), lower(%(text)s)) > 0 or strpos(email, lower(%(text)s)) > 0
order by created_at desc, id
limit %(limit)s offset %(offset)s

-- How many customers there are, whose name or address has the text.
select count(*) as total
from customer
where %(text)s::text is null or strpos(lower(name), lower(%(text)s)) > 0 or strpos(email, lower(%(text)s)) > 0

-- Which share of the latest finished tasks, by their creation, completed; cancelled ones say nothing. Null: there is none.
select avg((status = 3)::integer)::double precision as ratio
from (select status from task_history order by id desc limit %(limit)s) as latest
where status in (3, 4)

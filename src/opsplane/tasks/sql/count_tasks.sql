-- How many tasks match every given filter, counted up to a limit.
select count(*) as total from (select 1 from any_task
where {filter}
limit %(limit)s::integer) as counted

-- Tasks that match every given filter, newest first, below a cursor or behind an offset.
select * from any_task
where (%(below)s::uuid is null or id < %(below)s::uuid)
    and {filter}
order by id desc
limit %(limit)s::integer offset %(offset)s::integer

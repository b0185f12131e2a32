-- Every limit.
select * from task_limit order by kind, name

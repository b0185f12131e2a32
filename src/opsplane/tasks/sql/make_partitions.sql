-- The partitions of the coming week.
select make_task_partitions(7) as made

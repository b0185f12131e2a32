-- Forget what was decided long ago: all beyond the newest thousand of each schedule.
delete from task_schedule_run
using (
    select name, (
        select due_at from task_schedule_run where schedule = name order by due_at desc offset 1000 limit 1
    ) as last
    from task_schedule
) as old
where schedule = old.name and due_at <= old.last

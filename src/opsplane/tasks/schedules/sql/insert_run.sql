-- Note what was decided at a time; nothing when it was decided before.
insert into task_schedule_run (schedule, due_at, at, outcome, task_id, detail)
values (%(schedule)s, %(due_at)s, %(at)s, %(outcome)s, %(task_id)s, %(detail)s)
on conflict do nothing

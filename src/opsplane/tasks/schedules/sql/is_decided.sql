-- Whether a time of a schedule was decided.
select 1 as decided from task_schedule_run where schedule = %s and due_at = %s

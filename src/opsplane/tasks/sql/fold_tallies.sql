-- Fold what was noted into the counts of fan-outs, and show waiting parents how far their children are.
with told as (
    delete from fan_out_tally where number in (select number from fan_out_tally order by number limit %(limit)s)
    returning fan_out, completed, failed, cancelled
), summed as (
    select fan_out, sum(completed) as completed, sum(failed) as failed, sum(cancelled) as cancelled from told group by fan_out
), counted as (
    update fan_out
    set completed = fan_out.completed + summed.completed, failed = fan_out.failed + summed.failed,
        cancelled = fan_out.cancelled + summed.cancelled
    from summed where fan_out.number = summed.fan_out
    returning fan_out.*
), shown as (
    update task
    set processed_records = counted.completed + counted.failed + counted.cancelled,
        failed_records = counted.failed + counted.cancelled, updated_at = clock_timestamp()
    from counted
    where task.id = counted.parent_id and task.status + 0 = 6 and counted.joined_at is null
    returning task.id
)
select (select count(*) from told) as folded, array(select id::text from shown) as shown

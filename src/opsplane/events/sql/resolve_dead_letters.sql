-- Dead letters whose event was handled at last.
with before as (
    select id, state, replay_id from dead_letter
    where id = any (%(ids)s) and state in ('waiting', 'replaying') order by id for update
), closed as (
    update dead_letter
    set state = 'resolved', settled_at = clock_timestamp(), settled_reason = 'replayed', untidy = true
    from before where dead_letter.id = before.id
), counted as (
    update replay set resolved = resolved + done.count
    from (select replay_id, count(*) from before where state = 'replaying' group by replay_id) as done
    where replay.id = done.replay_id
)
select id from before

-- Give up dead letters for a reason.
with before as (
    select id, state, replay_id from dead_letter
    where id in (select id from dead_letters_matching('{waiting,replaying}', %(chosen)s))
      and state in ('waiting', 'replaying') order by id for update
), closed as (
    update dead_letter
    set state = 'discarded', settled_at = clock_timestamp(), settled_by = %(by)s, settled_reason = %(because)s,
        untidy = true
    from before where dead_letter.id = before.id
), counted as (
    update replay set withdrawn = withdrawn + gone.count
    from (select replay_id, count(*) from before where state = 'replaying' group by replay_id) as gone
    where replay.id = gone.replay_id
)
select id from before

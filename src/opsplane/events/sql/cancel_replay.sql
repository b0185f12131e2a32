-- Stop a replay: events not sent yet wait again.
with running as (
    select id from replay where id = %(replay)s and state = 'running' for update
), back as (
    update dead_letter set state = 'waiting'
    from running where replay_id = running.id and dead_letter.state = 'replaying' and sent_in is null
    returning 1
)
update replay
set state = 'cancelled', finished_at = clock_timestamp(), withdrawn = withdrawn + (select count(*) from back)
from running where replay.id = running.id
returning replay.id, (select count(*) from back) as withdrawn

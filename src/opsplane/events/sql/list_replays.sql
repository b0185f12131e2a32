-- Replays, the latest first, with how many of their events were sent and have no outcome yet.
select replay.*,
       (select count(*) from dead_letter
        where replay_id = replay.id and dead_letter.state = 'replaying' and sent_in is not null) as sent,
       (select count(*) from dead_letter
        where replay_id = replay.id and dead_letter.state = 'replaying' and sent_in is null) as unsent
from replay where %(replay)s::bigint is null or id = %(replay)s
order by id desc limit %(limit)s

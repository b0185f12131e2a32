-- Running replays with events to send in this incarnation of the broker, held against other senders, and how many are due.
select id, rate,
       case when rate is null then %(most)s
            else least(%(most)s, greatest(0, floor(least(extract(epoch from clock_timestamp() - due_at), 1) * rate) + 1))
       end::int as due
from replay
where state = 'running' and exists (
    select from dead_letter
    where replay_id = replay.id and state = 'replaying' and sent_in is distinct from %(incarnation)s
)
for update skip locked

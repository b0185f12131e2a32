-- Put the matching waiting dead letters into a replay; how many they are, and how many go to their topic.
with taken as (
    update dead_letter set state = 'replaying', replay_id = %(replay)s, sent_in = null
    where state = 'waiting' and id in (select id from dead_letters_matching('{waiting}', %(chosen)s))
    returning consumer_group
)
select count(*) as total, count(*) filter (where consumer_group is null) as foreign from taken

-- How many matching dead letters each topic has: open ones, and of these the ones being replayed; 0 when all are settled.
select topic, count(*) filter (where state in ('waiting', 'replaying')) as count,
       count(*) filter (where state = 'replaying') as replaying,
       min(first_failed_at) filter (where state in ('waiting', 'replaying')) as oldest
from dead_letters_matching('{waiting,replaying,resolved,discarded}', %s) group by topic order by topic

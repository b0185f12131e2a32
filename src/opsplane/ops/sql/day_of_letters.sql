-- Dead letters of the last day: how many came, were resolved, were discarded, and how many are open now.
select count(*) filter (where first_failed_at > clock_timestamp() - interval '1 day') as arrived,
    count(*) filter (where state = 'resolved' and settled_at > clock_timestamp() - interval '1 day') as resolved,
    count(*) filter (where state = 'discarded' and settled_at > clock_timestamp() - interval '1 day') as discarded,
    count(*) filter (where state in ('waiting', 'replaying')) as open
from dead_letter

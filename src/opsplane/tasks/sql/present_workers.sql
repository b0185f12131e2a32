-- Workers that should be there, and whether the lease of each could be taken by us, which means it is gone.
-- Remote ones are left out: nobody holds a lock for them, their lease is a time.
select number, beat, pg_try_advisory_lock(%(class)s, number) as gone
from worker where gone_at is null and lease_until is null

-- Workers that should be there, and whether the lease of each could be taken by us, which means it is gone.
select number, beat, pg_try_advisory_lock(%(class)s, number) as gone from worker where gone_at is null

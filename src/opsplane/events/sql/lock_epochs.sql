-- One epoch of a group is begun at a time.
select pg_advisory_xact_lock(hashtextextended('epochs of ' || %s, 0))

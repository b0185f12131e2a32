-- The streams were rebuilt after these losses.
update broker_incarnation set rebuilt_at = clock_timestamp() where lost_at <= %s and rebuilt_at is null

-- All other incarnations of the broker are gone.
update broker_incarnation set lost_at = clock_timestamp()
where lost_at is null and incarnation <> %s
returning incarnation

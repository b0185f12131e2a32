-- Remember an incarnation of the broker.
insert into broker_incarnation (incarnation) values (%s)
on conflict (incarnation) do update set lost_at = null, rebuilt_at = null

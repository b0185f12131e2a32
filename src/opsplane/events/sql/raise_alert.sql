-- Note that a topic has too many dead letters; a row comes back when somebody is to be told.
insert into alert (topic, firing, raised_at, told_at) values (%(topic)s, true, %(now)s, %(now)s)
on conflict (topic) do update
set firing = true, told_at = %(now)s, raised_at = case when alert.firing then alert.raised_at else %(now)s end
where alert.told_at <= %(now)s::timestamptz - make_interval(secs => %(cooldown)s)
returning raised_at

-- The latest audit entries.
select id, at, actor, roles, action, parameters, reason, outcome from audit order by id desc limit %s

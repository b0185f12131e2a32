-- Write down who did what, why and how it ended.
insert into audit (actor, roles, action, parameters, reason, outcome) values (%s, %s, %s, %s, %s, %s)

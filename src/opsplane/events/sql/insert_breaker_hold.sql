-- Hold breakers open; who held one first stays noted.
insert into breaker_hold (breaker, held_by, reason) select unnest(%s::text[]), %s, %s on conflict do nothing

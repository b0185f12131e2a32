-- The breakers an operator holds open.
select breaker, held_by, reason, held_at from breaker_hold order by breaker

-- Let go of breakers that were held open.
delete from breaker_hold where breaker = any(%s::text[])

-- Note why a message did not arrive, and when to try again; never, when `again` is null.
update alert_message
set error = %(error)s, next_try_at = coalesce(%(again)s::timestamptz, next_try_at),
    given_up_at = case when %(again)s::timestamptz is null then %(now)s::timestamptz end
where id = %(id)s

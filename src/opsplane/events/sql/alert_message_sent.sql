-- Note that a message arrived.
update alert_message set sent_at = %(now)s, error = null where id = %(id)s

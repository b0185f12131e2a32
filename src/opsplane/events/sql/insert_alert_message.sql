-- Have a message about a topic sent.
insert into alert_message (topic, kind, payload, created_at, next_try_at) values (%(topic)s, %(kind)s, %(payload)s, %(now)s, %(now)s)

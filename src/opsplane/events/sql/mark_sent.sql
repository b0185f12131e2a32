-- Note that events of a replay were sent.
update dead_letter set sent_in = %s where id = any (%s)

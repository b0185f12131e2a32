-- Note how many dead letters a replay has.
update replay set total = %s where id = %s

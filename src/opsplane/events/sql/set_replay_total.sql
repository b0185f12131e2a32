-- Note how many dead letters a replay has, and how many of them go to their topic; it begins now.
update replay set total = %s, foreign_letters = %s, due_at = clock_timestamp() where id = %s

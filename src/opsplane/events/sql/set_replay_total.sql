-- Note how many dead letters a replay has, and how many of them go to their topic.
update replay set total = %s, foreign_letters = %s where id = %s

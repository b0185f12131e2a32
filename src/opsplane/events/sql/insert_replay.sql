-- Begin a replay.
insert into replay (selection, requested_by, rate, total) values (%s, %s, %s, 0) returning id

-- Note how far a dead letter stream was read.
update dead_letter_position set stream_id = %s where stream = %s

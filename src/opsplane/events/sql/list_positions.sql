-- How far each dead letter stream was read.
select stream, stream_id from dead_letter_position

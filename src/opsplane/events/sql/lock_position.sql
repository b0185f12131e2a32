-- How far one dead letter stream was read, held against other readers of it.
insert into dead_letter_position (stream, stream_id) values (%s, '0-0')
on conflict (stream) do update set stream_id = dead_letter_position.stream_id
returning stream_id

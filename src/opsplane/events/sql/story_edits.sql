-- Every edit of the dead letters of an event.
select edit.letter, edit.edited_by, edit.because, edit.at, letter.consumer_group, letter.topic
from dead_letter_edit edit join dead_letter letter on letter.id = edit.letter
where letter.event_id = %s order by edit.id

-- Read the dead letter streams from their beginning: known entries are recognised.
delete from dead_letter_position

-- The edits of a dead letter, in order.
select data, edited_by, because, violations, at from dead_letter_edit where letter = %s order by id

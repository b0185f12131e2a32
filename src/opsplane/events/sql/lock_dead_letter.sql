-- A dead letter, held against everybody else.
select * from dead_letter where id = %s for update

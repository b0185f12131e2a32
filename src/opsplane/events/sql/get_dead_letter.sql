-- Everything about one dead letter.
select * from dead_letter where id = %s

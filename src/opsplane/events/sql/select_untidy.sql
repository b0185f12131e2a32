-- Dead letters the streams do not show yet as they are.
select * from dead_letter where untidy order by id limit %s for update skip locked

-- Which of these events are or were dead letters of a group.
select distinct event_id from dead_letter where consumer_group = %s and event_id = any (%s)

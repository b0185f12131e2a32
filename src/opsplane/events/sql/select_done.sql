-- Which of these events a group has in its inbox.
select distinct event_id from inbox where consumer_group = %s and event_id = any (%s)

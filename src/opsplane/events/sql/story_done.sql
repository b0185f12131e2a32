-- Which of the groups had the effect of an event, and when. Groups, epochs and sources are few: the key is skipped through.
select consumer_group, epoch, source, done_at
from inbox where consumer_group = any (%s::text[]) and event_id = %s order by done_at

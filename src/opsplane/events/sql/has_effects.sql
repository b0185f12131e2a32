-- Whether a group has anything in its inbox.
select exists (select from inbox where consumer_group = %s) as here

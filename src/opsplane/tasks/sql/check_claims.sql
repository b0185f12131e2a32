-- Which of these attempts still hold their tasks, and which of those were asked to stop.
select claim_token as token, cancel_requested_at is not null as cancel
from task
where id = any(%(ids)s::uuid[]) and status + 0 = 1 and claim_token = any(%(tokens)s::bigint[])

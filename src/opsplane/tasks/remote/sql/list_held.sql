-- What a worker has claimed, and which of it was asked to stop.
select claim_token as token, cancel_requested_at is not null as cancel from task where status = 1 and worker = %(worker)s

-- Whose a worker is, and why it went.
select owner, gone_reason from worker where number = %(number)s

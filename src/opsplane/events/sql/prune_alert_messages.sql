-- Forget messages older than the retention.
delete from alert_message where created_at < %s::timestamptz - interval '30 days'

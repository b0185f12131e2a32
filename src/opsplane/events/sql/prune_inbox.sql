-- Forget effects older than the inbox retention.
delete from inbox where ctid = any (array(
    select ctid from inbox where done_at < clock_timestamp() - make_interval(secs => %s) limit 10000
))

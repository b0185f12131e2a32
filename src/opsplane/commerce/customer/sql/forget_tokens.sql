-- Forget some refresh tokens that have expired.
delete from refresh_token
where hash = any(array(
    select hash from refresh_token where expires_at < %(now)s order by expires_at limit 20 for update skip locked
))

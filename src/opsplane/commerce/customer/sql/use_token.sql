-- A refresh token serves once.
update refresh_token set used_at = %(now)s where hash = %(hash)s

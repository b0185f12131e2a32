-- One refresh token, kept from being used twice at once.
select hash, family, customer_id, client_type, expires_at, used_at from refresh_token where hash = %(hash)s for update

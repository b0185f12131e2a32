-- Hand out a refresh token; only its hash is kept.
insert into refresh_token (hash, family, customer_id, client_type, expires_at)
values (%(hash)s, %(family)s, %(customer_id)s, %(client_type)s, %(expires_at)s)

-- What a login is checked against.
select id, email, name, phone, roles, version, created_at, updated_at, password_hash from customer where email = %(email)s

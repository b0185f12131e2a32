-- Keep a password under stronger parameters.
update customer set password_hash = %(password_hash)s where id = %(id)s

-- A new customer; no row when the address is taken.
insert into customer (email, name, phone, password_hash)
values (%(email)s, %(name)s, %(phone)s, %(password_hash)s)
on conflict (email) do nothing
returning id, email, name, phone, roles, version, created_at, updated_at

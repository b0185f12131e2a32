-- Change what a customer told of themselves; null leaves it as it is.
update customer
set name = coalesce(%(name)s, name),
    phone = coalesce(%(phone)s, phone),
    version = version + 1,
    updated_at = now()
where id = %(id)s
returning id, email, name, phone, roles, version, created_at, updated_at

-- One customer.
select id, email, name, phone, roles, version, created_at, updated_at from customer where id = %(id)s

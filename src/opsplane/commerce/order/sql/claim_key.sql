-- Be the one who answers a request with this key; no row when somebody was before.
insert into answered_request (customer_id, key, request_hash)
values (%(customer_id)s, %(key)s, %(request_hash)s)
on conflict do nothing
returning key

-- Move a reservation to another state.
update reservation set state = %(state)s, updated_at = now() where order_id = %(order_id)s

-- What an order went through.
select status, reason, at from order_history where order_id = %(order_id)s order by at

-- What an order holds, kept from changing until the transaction ends.
select state from reservation where order_id = %(order_id)s for update

-- What was answered to the request with this key.
select request_hash, answer from answered_request where customer_id = %(customer_id)s and key = %(key)s

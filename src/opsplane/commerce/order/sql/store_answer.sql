-- Keep the answer for whoever repeats the request.
update answered_request set answer = %(answer)s where customer_id = %(customer_id)s and key = %(key)s

-- Note the callback a fan-out got, so that it gets no second one.
update fan_out set callback_id = %(callback)s::uuid where number = %(number)s

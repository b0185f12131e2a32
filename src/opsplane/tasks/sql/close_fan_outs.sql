-- The parents of these fan-outs wait no longer.
update fan_out set joined_at = clock_timestamp() where number = any(%s)

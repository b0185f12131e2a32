-- The parent waits again, for children that were retried.
update fan_out set joined_at = null where number = %s

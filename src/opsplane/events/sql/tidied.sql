-- Note that the streams show this dead letter as it is.
update dead_letter set untidy = false, obsolete = '{}', stream_id = %s where id = %s

-- Have events published once more, under the numbers they have.
update outbox set published_at = null, stream_id = null where id = any (%s)

-- An active version judges only the events that name it.
update schema_version set state = 'deprecated', deprecated_by = %(by)s, deprecated_at = clock_timestamp()
where subject = %(subject)s and version = %(version)s and state = 'active'

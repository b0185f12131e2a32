-- A draft decides from now on.
update schema_version set state = 'active', promoted_by = %(by)s, promoted_at = clock_timestamp()
where subject = %(subject)s and version = %(version)s and state = 'draft'

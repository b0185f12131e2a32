-- Which changes to a subject's schema are allowed from now on.
update schema_subject set mode = %(mode)s, mode_set_by = %(by)s, mode_set_at = clock_timestamp()
where subject = %(subject)s

-- Register a version of a subject.
insert into schema_version (subject, version, document, digest, state, scope, formats, registered_by, promoted_by, promoted_at)
values (%(subject)s, %(version)s, %(document)s, %(digest)s, %(state)s, %(scope)s, %(formats)s, %(by)s,
        case when %(state)s = 'active' then %(by)s end,
        case when %(state)s = 'active' then clock_timestamp() end)

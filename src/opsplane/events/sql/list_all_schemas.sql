-- Every version of every subject, to be held against the files of the services.
select subject, version, digest, state, document, scope, formats from schema_version order by subject, version

-- The versions events are judged by.
select subject, version, digest, state, document, scope, formats from schema_version
where state <> 'draft' order by subject, version

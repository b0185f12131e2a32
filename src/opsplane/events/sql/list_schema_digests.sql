-- What makes one state of the registry another: which versions are usable, and what each means.
select subject, version, digest, state from schema_version where state <> 'draft' order by subject, version

-- Make a subject known to the registry.
insert into schema_subject (subject) values (%s) on conflict do nothing

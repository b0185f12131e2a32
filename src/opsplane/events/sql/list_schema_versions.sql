-- Every version of a subject, the oldest first.
select s.mode, v.* from schema_version v join schema_subject s using (subject)
where v.subject = %s order by v.version

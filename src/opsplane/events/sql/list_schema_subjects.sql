-- Every subject with its mode, its newest active version and its newest.
select s.subject, s.mode, s.mode_set_by, s.mode_set_at,
       max(v.version) filter (where v.state = 'active') as active,
       max(v.version) as newest,
       count(*) filter (where v.state = 'draft') as drafts,
       count(*) as versions
from schema_subject s join schema_version v using (subject)
group by s.subject order by s.subject

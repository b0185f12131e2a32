-- Remember the last sequence number given for each of these subjects.
insert into outbox_subject (topic, subject, last)
select * from unnest(%s::text[], %s::text[], %s::bigint[])
on conflict (topic, subject) do update set last = greatest(outbox_subject.last, excluded.last)

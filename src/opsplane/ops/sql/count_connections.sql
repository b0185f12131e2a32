-- How many connections each application has, most first, and how many there can be for those who are no superuser.
select application_name as application, count(*) as connections,
    current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer as most
from pg_stat_activity
where backend_type = 'client backend'
group by application_name
order by connections desc, application_name

-- The customers an import has just merged.
select id, email, version from customer where email = any(%(emails)s) order by email

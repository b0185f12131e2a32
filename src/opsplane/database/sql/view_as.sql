-- Until the transaction ends, see what row security shows this viewer.
select
    set_config('role', current_database() || '_viewer', true), set_config('opsplane.tenant', %(tenant)s, true),
    set_config('opsplane.subject', %(subject)s, true), set_config('opsplane.member', %(member)s::boolean::text, true)

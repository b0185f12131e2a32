-- Open a fan-out; one without children is joined at once.
insert into fan_out (parent_id, name, first_id, last_id, policy, total, callback_type, joined_at)
values (
    %(id)s::uuid, %(name)s, %(first)s::uuid, %(last)s::uuid, %(policy)s, %(total)s, %(then)s,
    case when %(total)s = 0 then clock_timestamp() end
)
returning *

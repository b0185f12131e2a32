-- The fan-outs of a task, with their counts as of this moment.
select name, policy, total, completed, failed, cancelled, callback_type, callback_id::text as callback_id, created_at, joined_at
from fan_out_now where parent_id = %(id)s::uuid
order by number

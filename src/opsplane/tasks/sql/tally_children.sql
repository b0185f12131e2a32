-- Note ended children (or, with the sign -1, children that run again) for their fan-outs; other children count nowhere.
insert into fan_out_tally (fan_out, completed, failed, cancelled)
select
    fan_out.number, %(sign)s * count(*) filter (where told.status = 3), %(sign)s * count(*) filter (where told.status = 4),
    %(sign)s * count(*) filter (where told.status = 5)
from unnest(%(ids)s::uuid[], %(parents)s::uuid[], %(statuses)s::smallint[]) as told (id, parent_id, status)
join fan_out on fan_out.parent_id = told.parent_id and told.id between fan_out.first_id and fan_out.last_id
group by fan_out.number

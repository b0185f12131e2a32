-- Set a queue's weight, and whether its tenants take turns; what is null stays as it is.
insert into queue (name, weight, fair)
values (%(name)s, coalesce(%(weight)s::real, 1), coalesce(%(fair)s::boolean, false))
on conflict (name) do update set
    weight = coalesce(%(weight)s::real, queue.weight), fair = coalesce(%(fair)s::boolean, queue.fair)

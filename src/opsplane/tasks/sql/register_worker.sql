-- A new worker's number.
insert into worker (name, host, pid, task_types, slots) values (%(name)s, %(host)s, %(pid)s, %(types)s, %(slots)s)
returning number

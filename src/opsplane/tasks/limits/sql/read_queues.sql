-- The queues that the dispatcher must know: those that are paused, and those whose tenants take turns.
select name, paused, fair from queue where paused or fair

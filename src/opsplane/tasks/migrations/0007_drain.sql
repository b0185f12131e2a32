-- Queues that take no new tasks and run those they hold to the end.
alter table queue add column drained_by text, add column drained_at timestamptz, add column drain_reason text;

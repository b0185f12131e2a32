-- The tasks of a trace (W3C traceparent: version, 32 digits of the trace, span, flags), and of an idempotency key alone.
create index task_trace on task (substring(traceparent from 4 for 32)) where traceparent is not null;
create index task_history_trace on task_history (substring(traceparent from 4 for 32)) where traceparent is not null;
create index task_idempotency_key on task_idempotency (key);

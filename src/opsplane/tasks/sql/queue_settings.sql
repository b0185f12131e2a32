-- Weights of queues, and which are paused.
select name, weight, paused from queue

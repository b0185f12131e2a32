-- Change how the simulated processor behaves.
update simulated_processor
set latency_ms = %(latency_ms)s, failure_rate = %(failure_rate)s, outage = %(outage)s
returning latency_ms, failure_rate, outage

-- How the simulated processor is to behave.
select latency_ms, failure_rate, outage from simulated_processor

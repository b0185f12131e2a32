-- End replays all of whose events have an outcome.
update replay set state = 'finished', finished_at = clock_timestamp()
where state = 'running' and not exists (
    select from dead_letter where replay_id = replay.id and state = 'replaying'
)

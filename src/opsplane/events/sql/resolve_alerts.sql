-- End the alerts of all topics but those that still have too many dead letters.
update alert set firing = false where firing and topic <> all (%s) returning topic, raised_at

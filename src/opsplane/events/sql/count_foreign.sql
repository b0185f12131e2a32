-- How many of the matching dead letters came from applications that told no consumer group.
select count(*) as count from dead_letters_matching(%(states)s, %(chosen)s) where consumer_group is null

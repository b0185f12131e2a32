-- Have every open dead letter put back on its streams.
update dead_letter set untidy = true where state in ('waiting', 'replaying')

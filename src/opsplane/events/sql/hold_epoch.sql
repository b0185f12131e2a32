-- The epoch of an ordered group's leader, locked so that no other takes over before this transaction has ended.
select epoch from ordered_group where consumer_group = %s for share

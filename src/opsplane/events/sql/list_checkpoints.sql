-- The positions of all groups in one incarnation of the broker.
select consumer_group, stream, position, delivered, pending from group_checkpoint where incarnation = %s

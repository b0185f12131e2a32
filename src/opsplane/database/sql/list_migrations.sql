-- The migrations of one source that were applied.
select number, checksum from opsplane_migration where source = %s order by number

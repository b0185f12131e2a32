-- Remember one applied migration.
insert into opsplane_migration (source, number, name, checksum) values (%s, %s, %s, %s)

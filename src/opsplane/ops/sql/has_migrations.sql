-- Whether this database was ever migrated.
select to_regclass('opsplane_migration') is not null as here

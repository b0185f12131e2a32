-- Whether this database has an outbox.
select to_regclass('outbox') is not null as here

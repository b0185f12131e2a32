-- Put the rows of a chunk into the entity's table: new ones inserted, different ones updated, equal ones left.
INSERT INTO {table} AS target ({columns})
SELECT {columns} FROM import_rows ORDER BY opsplane_n
{conflict}

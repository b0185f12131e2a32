-- A place for the rows of one chunk with the types of the entity's table, for this transaction.
CREATE TEMP TABLE import_rows ON COMMIT DROP AS
SELECT 0::bigint AS opsplane_n, {columns} FROM {table} WITH NO DATA

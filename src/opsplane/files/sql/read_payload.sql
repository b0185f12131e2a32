-- The checked rows of the next kept chunk after the given one.
SELECT chunk, payload FROM import_staging
WHERE task = %(task)s AND chunk > %(chunk)s ORDER BY chunk LIMIT 1

-- Enter a chunk into the ledger; no row when another importer of the task was first.
INSERT INTO import_ledger (task, chunk, position, line, rows, bad, changed)
SELECT task, %(chunk)s, %(position)s, %(line)s, 0, 0, 0
FROM import_run WHERE task = %(task)s AND outcome IS NULL
ON CONFLICT DO NOTHING

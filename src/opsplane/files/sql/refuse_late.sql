-- Count rows of a kept chunk that the database refused at the end; nothing of the chunk was changed.
UPDATE import_ledger SET bad = bad + %(bad)s, changed = 0 WHERE task = %(task)s AND chunk = %(chunk)s

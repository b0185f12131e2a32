-- Say how many rows of a chunk there were, were refused, and changed something.
UPDATE import_ledger SET rows = %(rows)s, bad = %(bad)s, changed = %(changed)s
WHERE task = %(task)s AND chunk = %(chunk)s

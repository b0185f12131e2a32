-- Say how many rows of a kept chunk changed something when it was published.
UPDATE import_ledger SET changed = %(changed)s WHERE task = %(task)s AND chunk = %(chunk)s

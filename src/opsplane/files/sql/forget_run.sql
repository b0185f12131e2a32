-- Remove everything kept about an import.
DELETE FROM import_run WHERE task = %(task)s

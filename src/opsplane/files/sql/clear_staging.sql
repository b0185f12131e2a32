-- Drop the rows that were kept for the end of an import.
DELETE FROM import_staging WHERE task = %(task)s

-- End the import with its outcome.
UPDATE import_run SET outcome = %(outcome)s, finished_at = now() WHERE task = %(task)s

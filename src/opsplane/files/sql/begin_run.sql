-- Start the import of a task, unless it was started before.
INSERT INTO import_run (task, binding) VALUES (%(task)s, %(binding)s) ON CONFLICT DO NOTHING

-- Keep the checked rows of a chunk until all chunks are known to be good.
INSERT INTO import_staging (task, chunk, payload) VALUES (%(task)s, %(chunk)s, %(payload)s)

-- Make place for other rows of the chunk.
TRUNCATE import_rows

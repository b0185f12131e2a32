-- Take rows of a chunk, checked and in the order of the key.
COPY import_rows (opsplane_n, {columns}) FROM STDIN (FORMAT csv)

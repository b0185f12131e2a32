-- Take the refused rows of a chunk.
COPY import_error (task, line, record, reasons) FROM STDIN

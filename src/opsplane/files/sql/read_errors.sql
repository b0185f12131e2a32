-- The next refused rows of an import, in the order of the file.
SELECT line, record, reasons FROM import_error
WHERE task = %(task)s AND line > %(line)s ORDER BY line LIMIT 5000

-- The outcome of an import, which nobody else can set before this transaction ends.
SELECT outcome FROM import_run WHERE task = %(task)s FOR UPDATE

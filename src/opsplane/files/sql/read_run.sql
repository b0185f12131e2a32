-- How far the import of a task is: its binding, its outcome, its last chunk and the sums.
SELECT run.binding, run.outcome, last.chunk, last.position, last.line,
       coalesce(sums.rows, 0)::bigint AS rows, coalesce(sums.bad, 0)::bigint AS bad,
       coalesce(sums.changed, 0)::bigint AS changed
FROM import_run AS run
LEFT JOIN LATERAL (
    SELECT chunk, position, line FROM import_ledger WHERE task = run.task ORDER BY chunk DESC LIMIT 1
) AS last ON true
LEFT JOIN LATERAL (
    SELECT sum(rows) AS rows, sum(bad) AS bad, sum(changed) AS changed FROM import_ledger WHERE task = run.task
) AS sums ON true
WHERE run.task = %(task)s

-- How often each reason refused a row, the most frequent first.
SELECT reason ->> 'code' AS code, count(*) AS count
FROM import_error, jsonb_array_elements(reasons) AS reason
WHERE task = %(task)s GROUP BY 1 ORDER BY 2 DESC, 1

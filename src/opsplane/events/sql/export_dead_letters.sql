-- The next of the matching dead letters by number, whole, with their edits.
select dead_letter.*, coalesce((
    select jsonb_agg(jsonb_build_object(
        'data', encode(edit.data, 'base64'), 'at', edit.at, 'by', edit.edited_by, 'because', edit.because,
        'violations', edit.violations) order by edit.id)
    from dead_letter_edit as edit where edit.letter = dead_letter.id), '[]') as edits
from dead_letter
where id > %(after)s and id in (select id from dead_letters_matching(%(states)s, %(chosen)s) where id > %(after)s)
order by id limit %(limit)s

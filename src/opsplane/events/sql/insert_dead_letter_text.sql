-- Note what a dead letter is found by.
insert into dead_letter_text (letter, words, pointers) values (%(letter)s, array_to_tsvector(%(words)s::text[]), %(pointers)s)
on conflict (letter) do nothing

-- Dead letters are found by their words and violations, edited beside the original, and the same one everywhere.
alter table dead_letter add column uid uuid not null default gen_random_uuid(), add column edited bytea;
create unique index dead_letter_uid on dead_letter (uid);
create index dead_letter_latest on dead_letter (last_failed_at desc, id desc);
create index dead_letter_cause on dead_letter (fingerprint, last_failed_at);
create index dead_letter_group on dead_letter (consumer_group, reason, last_failed_at);
create index dead_letter_topic on dead_letter (topic text_pattern_ops, last_failed_at);
create index dead_letter_event on dead_letter (event_id);
create index dead_letter_subject on dead_letter (subject);
drop index dead_letter_open_event;

-- What a dead letter is found by. In a table of its own: it is written once, its row in `dead_letter` often.
create table dead_letter_text (
    letter bigint primary key references dead_letter on delete cascade,
    words tsvector not null,
    pointers text[] not null
);
create index dead_letter_words on dead_letter_text using gin (words);
create index dead_letter_pointers on dead_letter_text using gin (pointers);

-- Every edit of a dead letter's event; `dead_letter.edited` is the last one, which a replay sends.
create table dead_letter_edit (
    id bigint generated always as identity primary key,
    letter bigint not null references dead_letter on delete cascade,
    data bytea not null,
    edited_by text not null,
    because text not null,
    violations jsonb not null default '[]',
    at timestamptz not null default clock_timestamp()
);
create index dead_letter_edit_letter on dead_letter_edit (letter, id);

alter table replay add column foreign_letters integer not null default 0;

-- The dead letters in some of the states that match everything chosen; what is not chosen does not count.
drop function dead_letters_matching(text[], bigint[], text, text, text, text, text, text);
create function dead_letters_matching(states text[], chosen jsonb) returns setof dead_letter language sql stable as $$
    select * from dead_letter
    where state = any (states)
      and (chosen->>'ids' is null or id = any ((chosen->>'ids')::bigint[]))
      and (chosen->>'event_id' is null or event_id = chosen->>'event_id')
      and (chosen->>'event_type' is null or event_type = chosen->>'event_type')
      and (chosen->>'subject' is null or subject = chosen->>'subject')
      and (chosen->>'topic' is null or topic = chosen->>'topic')
      and (chosen->>'topic_like' is null or topic like chosen->>'topic_like')
      and (chosen->>'group' is null or consumer_group = chosen->>'group')
      and (chosen->>'groups' is null or consumer_group = any ((chosen->>'groups')::text[]))
      and (chosen->>'reason' is null or reason = chosen->>'reason')
      and (chosen->>'error' is null or error = chosen->>'error')
      and (chosen->>'fingerprint' is null or fingerprint = chosen->>'fingerprint')
      and (chosen->>'since' is null or last_failed_at >= (chosen->>'since')::timestamptz)
      and (chosen->>'until' is null or last_failed_at < (chosen->>'until')::timestamptz)
      and (chosen->>'pointer' is null
           or id = any (array(select letter from dead_letter_text where pointers @> array[chosen->>'pointer'])))
      and (chosen->>'words' is null
           or id = any (array(select letter from dead_letter_text where words @@ (chosen->>'words')::tsquery)))
$$;

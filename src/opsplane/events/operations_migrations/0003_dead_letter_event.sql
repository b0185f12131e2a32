-- Every dead letter of an event is found by its id, the settled ones too.
drop index dead_letter_open_event;
create index dead_letter_event on dead_letter (event_id);

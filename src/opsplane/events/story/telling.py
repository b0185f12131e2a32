"""Telling: the witnesses are asked side by side where they can be, and what they say is put in time order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from psycopg.rows import DictRow

from opsplane.errors import NotFound
from opsplane.events.envelope import Event, Undecodable, decode
from opsplane.events.personal import Personal, View
from opsplane.events.story import letters as dead
from opsplane.events.story import outboxes, standing, streams
from opsplane.events.story.moments import Found, GroupState, Moment, Story
from opsplane.events.story.streams import Copy
from opsplane.events.story.witnesses import Hearing, Witnesses
from opsplane.events.streams import time_of
from opsplane.events.tracing import trace_of

OPEN = ("waiting", "replaying")


class _Known(NamedTuple):
    """Where an event was found."""

    written: outboxes.Rows
    letters: list[DictRow]
    copies: list[Copy]
    data: bytes
    topic: str


async def find(witnesses: Witnesses, event_id: str, personal: Personal) -> Found:
    """The event and where it stands; raises `NotFound`."""
    hearing = Hearing(witnesses, event_id)
    known = await _known(hearing)
    view = personal.view(known.data, known.topic)
    places = [f"outbox of {name}" for name, _ in known.written]
    places += [_place(copy) for copy in known.copies if copy.data is not None]
    places += [f"dead letter {row['id']} ({row['state']})" for row in known.letters]
    return Found(event_id, known.topic, view.event, places, hearing.missing)


async def tell(witnesses: Witnesses, event_id: str, personal: Personal) -> Story:
    """Everything that is known of an event, in time order, personal data masked; raises `NotFound`."""
    hearing = Hearing(witnesses, event_id)
    known = await _known(hearing)
    event = _decoded(known.data)
    source = event.source if event else ""
    trace = trace_of(event.traceparent if event else None, source, event_id)
    states, tried = await _groups(hearing, known.copies)
    names = {*witnesses.groups, *(state.group for state in states)}
    done, related, tasks, edits = await asyncio.gather(
        outboxes.done(hearing, names),
        outboxes.of_trace(hearing, trace),
        _tasks(hearing, trace),
        dead.edits(hearing),
    )
    since = min((row["created_at"] for _, row in known.written), default=_when(event))
    moments = [
        *outboxes.written_moments(known.written),
        *_entry_moments(known, hearing),
        *tried,
        *dead.letter_moments(known.letters),
        *edits,
        *outboxes.done_moments(done),
        *outboxes.trace_moments(related, since),
        *tasks,
    ]
    return Story(
        event_id,
        source,
        known.topic,
        trace,
        _in_order(moments, personal.view(known.data, known.topic)),
        [_settled(state, known.letters, done) for state in states],
        sorted(set(hearing.missing)),
    )


def _place(copy: Copy) -> str:
    return f"{copy.topic} {copy.entry}" if copy.entry else f"{copy.topic}, from {copy.due} on"


async def _known(hearing: Hearing) -> _Known:
    written, letters = await asyncio.gather(outboxes.written(hearing), dead.letters(hearing))
    places = {(row["topic"], row["stream_id"]) for _, row in written if row["stream_id"]}
    places |= {(row["topic"], row["source_id"]) for row in letters if row["source_id"]}
    copies = await hearing.ask("broker", _copies(hearing, places, search=not written), [])
    data = [row["envelope"] for _, row in written]
    data += [copy.data for copy in copies if copy.data is not None]
    data += [row["data"] for row in letters]
    if not data:
        because = f" Not asked: {'; '.join(hearing.missing)}." if hearing.missing else ""
        raise NotFound(
            f"No outbox, no dead letter and none of the last {streams.SEARCHED} entries of a topic has an event "
            f"{hearing.event_id}.{because}",
            remedy="See: opsplane topic ls",
        )
    named = [row["topic"] for _, row in written] + [copy.topic for copy in copies]
    topic = next(iter([*named, *(row["topic"] for row in letters)]))
    return _Known(written, letters, copies, data[0], topic)


async def _copies(hearing: Hearing, places: set[tuple[str, str]], *, search: bool) -> list[Copy]:
    if places or not search:
        return [await streams.entry(hearing, *place) for place in sorted(places)]
    return await streams.search(hearing)


async def _groups(hearing: Hearing, copies: Sequence[Copy]) -> tuple[list[GroupState], list[Moment]]:
    states: list[GroupState] = []
    moments: list[Moment] = []
    for copy in copies:
        if not copy.entry:
            continue
        found, tried = await hearing.ask("broker", standing.groups(hearing, copy), ([], []))
        states += found
        moments += tried
    return states, moments


async def _tasks(hearing: Hearing, trace: str) -> list[Moment]:
    witness = hearing.of.tasks
    return [] if witness is None else await hearing.ask("tasks", witness(trace, hearing.event_id), [])


def _entry_moments(known: _Known, hearing: Hearing) -> list[Moment]:
    """When the entry was put on its topic, where no outbox says it."""
    told = {row["stream_id"] for _, row in known.written}
    for copy in known.copies:
        if copy.data is None:
            hearing.missing.append(f"{copy.topic} {copy.entry}: the entry is no longer on the topic")
    moments = [Moment(copy.due, "is due", f"topic {copy.topic}") for copy in known.copies if copy.due]
    return moments + [
        Moment(time_of(copy.entry), "published", f"topic {copy.topic}", {"entry": copy.entry})
        for copy in known.copies
        if copy.entry and copy.entry not in told
    ]


def _settled(state: GroupState, letters: Iterable[DictRow], done: outboxes.Rows) -> GroupState:
    """The state with what the inbox and the dead letters know besides."""
    at = max((row["done_at"] for _, row in done if row["consumer_group"] == state.group), default=None)
    state = msgspec.structs.replace(state, done_at=at)
    for row in letters:
        if (row["consumer_group"], row["topic"]) == (state.group, state.topic) and row["state"] in OPEN:
            shown = state.state if state.state in ("pending", "waiting", "parked") else "dead letter"
            return msgspec.structs.replace(state, state=shown, dead_letter=row["id"])
    return state


def _in_order(moments: Iterable[Moment], view: View) -> list[Moment]:
    """In time order, personal data masked, what was told twice once."""
    masked = [Moment(one.at, one.what, one.where, view.within(one.detail)) for one in moments]
    told = {(one.at, one.what, one.where, str(one.detail)): one for one in masked}
    return sorted(told.values(), key=lambda moment: moment.at)


def _decoded(data: bytes) -> Event[Any] | None:
    try:
        return decode(data)
    except Undecodable:
        return None


def _when(event: Event[Any] | None) -> datetime | None:
    return event.time if event and event.time and event.time.tzinfo else None

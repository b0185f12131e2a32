"""How each group stands to an entry: not there yet, pending, waiting, parked, done."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from opsplane.events.broker import Delivered
from opsplane.events.brokers import keys
from opsplane.events.brokers.entries import delivered
from opsplane.events.brokers.resp import CommandRefused
from opsplane.events.brokers.settling import unpacked
from opsplane.events.envelope import Undecodable, decode
from opsplane.events.story.letters import attempt_moments
from opsplane.events.story.moments import GroupState, Moment
from opsplane.events.story.streams import Copy, is_event, scheduled
from opsplane.events.story.witnesses import Hearing
from opsplane.events.streams import number

_PAGE = 500


async def groups(hearing: Hearing, copy: Copy) -> tuple[list[GroupState], list[Moment]]:
    """How each group of the topic stands to the entry, and the failed attempts of those that will try again."""
    states, moments = [], []
    for facts in await _info(hearing, copy.topic):
        group = facts["name"].decode()
        state, seen = await _state(hearing, copy, group, facts["last-delivered-id"].decode())
        states.append(state)
        moments += seen
    return states, moments


async def _state(hearing: Hearing, copy: Copy, group: str, position: str) -> tuple[GroupState, list[Moment]]:
    held = await _held(hearing, copy.topic, group, copy.entry)
    if held is not None:
        return GroupState(group, copy.topic, "pending", copy.entry, *held), []
    if number(position) < number(copy.entry):
        return GroupState(group, copy.topic, "not delivered", copy.entry), []
    place = f"group {group}"
    async for due, member in scheduled(hearing, keys.retry_schedule(group), _event):
        beside = _metadata(unpacked(member)[0])
        waiting = GroupState(group, copy.topic, "waiting", copy.entry, until=due)
        return waiting, attempt_moments(beside, place, {})
    private = keys.retry_stream(group)
    async for one in _pages(hearing, private):
        if is_event(one.data, hearing.event_id):
            holder = await _held(hearing, private, group, one.id) or (None, None, None)
            tried = attempt_moments(_attempts(one.metadata.get("attempts")), place, {})
            return GroupState(group, copy.topic, "pending", one.id, *holder), tried
    parked = await _is_aside(hearing, group, copy)
    return GroupState(group, copy.topic, "parked" if parked else "acknowledged", copy.entry), []


async def _is_aside(hearing: Hearing, group: str, copy: Copy) -> bool:
    """Whether the event waits behind a failed one of its subject."""
    try:
        subject = decode(copy.data or b"").subject or ""
    except Undecodable:  # or trimmed
        return False
    first = 0
    while page := await hearing.of.broker.call(
        "LRANGE", keys.aside(group, subject), str(first), str(first + _PAGE - 1)
    ):
        if any(is_event(_event(member), hearing.event_id) for member in page):
            return True
        first += _PAGE
    return False


async def _held(hearing: Hearing, stream: str, group: str, entry_id: str) -> tuple[str, float, int] | None:
    """Who was given the entry and has not acknowledged it, for how long, how often."""
    try:
        reply = await hearing.of.broker.call("XPENDING", stream, group, entry_id, entry_id, "1")
    except CommandRefused:  # the group has no private stream yet
        return None
    return (reply[0][1].decode(), reply[0][2] / 1000, int(reply[0][3])) if reply else None


async def _pages(hearing: Hearing, stream: str) -> AsyncIterator[Delivered]:
    start = "-"
    while page := await hearing.of.broker.call("XRANGE", stream, start, "+", "COUNT", str(_PAGE)):
        for entry_id, fields in page:
            yield delivered(stream.encode(), entry_id, fields)
        start = f"({page[-1][0].decode()}"


async def _info(hearing: Hearing, topic: str) -> list[dict[str, Any]]:
    try:
        reply = await hearing.of.broker.call("XINFO", "GROUPS", topic)
    except CommandRefused:  # the topic is not there, or no more
        return []
    return [dict(zip([key.decode() for key in one[::2]], one[1::2], strict=True)) for one in reply]


def _event(member: bytes) -> bytes:
    return unpacked(member)[1]


def _metadata(encoded: bytes) -> Any:
    return _attempts(msgspec.json.decode(encoded, type=dict[str, str]).get("attempts"))


def _attempts(text: str | None) -> Any:
    try:
        return msgspec.json.decode(text or "[]")
    except msgspec.DecodeError:
        return []

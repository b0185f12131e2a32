"""What the broker tells: the entry, and how each group stands to it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from opsplane.events.broker import Delivered
from opsplane.events.brokers import keys
from opsplane.events.brokers.entries import delivered
from opsplane.events.brokers.resp import CommandRefused
from opsplane.events.brokers.settling import unpacked
from opsplane.events.envelope import Undecodable, decode
from opsplane.events.story.letters import attempt_moments
from opsplane.events.story.moments import GroupState, Moment
from opsplane.events.story.witnesses import Hearing
from opsplane.events.streams import number, topics

SEARCHED = 5_000
_PAGE = 500
_RETRY_AT, _DELAYED_AT = 10, 28  # where in a member of a schedule the metadata, or the event, begins
_GLOB = re.compile(rb"([*?\[\]\\^])")


class Copy(NamedTuple):
    """An entry of a topic that carries the event; `data` is None when it was trimmed.

    One that waits in the broker for its time is no entry yet: `entry` is empty, and `due` says when it will be one.
    """

    topic: str
    entry: str
    data: bytes | None
    due: datetime | None = None


async def entry(hearing: Hearing, topic: str, entry_id: str) -> Copy:
    """The entry at a known place."""
    reply = await hearing.of.broker.call("XRANGE", topic, entry_id, entry_id)
    found = delivered(topic.encode(), *reply[0]).data if reply else None
    return Copy(topic, entry_id, found)


async def search(hearing: Hearing) -> list[Copy]:
    """Entries among the last 5,000 of each topic: an event published directly stands in no outbox."""
    broker, found = hearing.of.broker, []
    for topic in await topics(broker):
        end = "+"
        for _ in range(SEARCHED // _PAGE):
            page = await broker.call("XREVRANGE", topic, end, "-", "COUNT", str(_PAGE))
            for entry_id, fields in page:
                one = delivered(topic.encode(), entry_id, fields)
                if is_event(one.data, hearing.event_id):
                    found.append(Copy(topic, one.id, one.data))
            if len(page) < _PAGE:
                break
            end = f"({page[-1][0].decode()}"
    for topic in await broker.call("SMEMBERS", keys.DELAYED):
        schedule = keys.delayed(topic.decode())
        async for due, member in _scheduled(hearing, schedule, _DELAYED_AT):
            found.append(Copy(topic.decode(), "", member[_DELAYED_AT:], due))
    return found


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
    async for due, member in _scheduled(hearing, keys.retry_schedule(group), _RETRY_AT):
        length = int(member[:_RETRY_AT])
        beside = _metadata(member[_RETRY_AT : _RETRY_AT + length])
        waiting = GroupState(group, copy.topic, "waiting", copy.entry, until=due)
        return waiting, attempt_moments(beside, place, {})
    private = keys.retry_stream(group)
    async for one in _pages(hearing, private):
        if is_event(one.data, hearing.event_id):
            holder = await _held(hearing, private, group, one.id) or (None, None, None)
            tried = attempt_moments(_attempts(one.metadata.get("attempts")), place, {})
            return GroupState(group, copy.topic, "pending", one.id, *holder), tried
    state = "parked" if await _is_aside(hearing, copy, group) else "acknowledged"
    return GroupState(group, copy.topic, state, copy.entry), []


async def _is_aside(hearing: Hearing, copy: Copy, group: str) -> bool:
    """Whether the event was set aside in an ordered group, behind one of its subject that failed."""
    try:
        subject = decode(copy.data or b"").subject or ""
    except Undecodable:
        return False
    key, first = keys.aside(group, subject), 0
    while page := await hearing.of.broker.call("LRANGE", key, str(first), str(first + _PAGE - 1)):
        if any(is_event(unpacked(member)[1], hearing.event_id) for member in page):
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


async def _scheduled(hearing: Hearing, key: str, before: int) -> AsyncIterator[tuple[datetime, bytes]]:
    """The members of a schedule that carry the event after `before` bytes; the server looks for its id."""
    wanted = _GLOB.sub(rb"\\\1", msgspec.json.encode(hearing.event_id))
    cursor = b"0"
    while True:
        cursor, found = await hearing.of.broker.call(
            "ZSCAN", key, cursor, "MATCH", b"*" + wanted + b"*", "COUNT", "1000"
        )
        for member, due in zip(found[::2], found[1::2], strict=True):
            length = int(member[:_RETRY_AT]) if before == _RETRY_AT else 0
            if is_event(member[before + length :], hearing.event_id):
                yield datetime.fromtimestamp(float(due), UTC), member
        if cursor == b"0":
            return


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


def is_event(data: bytes, event_id: str) -> bool:
    """Whether the bytes are this event's envelope."""
    if event_id.encode() not in data and msgspec.json.encode(event_id) not in data:
        return False
    try:
        return decode(data).id == event_id
    except Undecodable:
        return False


def _metadata(encoded: bytes) -> Any:
    return _attempts(msgspec.json.decode(encoded, type=dict[str, str]).get("attempts"))


def _attempts(text: str | None) -> Any:
    try:
        return msgspec.json.decode(text or "[]")
    except msgspec.DecodeError:
        return []

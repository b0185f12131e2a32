"""Where in the broker an event stands: on its topics, or waiting for its time."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from opsplane.events.brokers import keys
from opsplane.events.brokers.entries import delivered
from opsplane.events.envelope import Undecodable, decode
from opsplane.events.story.witnesses import Hearing
from opsplane.events.streams import topics

SEARCHED = 5_000
_PAGE = 500
_DELAYED_AT = 28  # where in a member of a delayed event's schedule the event begins
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
        async for due, member in scheduled(hearing, schedule, lambda member: member[_DELAYED_AT:]):
            found.append(Copy(topic.decode(), "", member[_DELAYED_AT:], due))
    return found


async def scheduled(
    hearing: Hearing, key: str, data: Callable[[bytes], bytes]
) -> AsyncIterator[tuple[datetime, bytes]]:
    """The members of a schedule whose `data` is the event, and when each is due; the server looks for its id."""
    wanted = _GLOB.sub(rb"\\\1", msgspec.json.encode(hearing.event_id))
    cursor = b"0"
    while True:
        cursor, found = await hearing.of.broker.call(
            "ZSCAN", key, cursor, "MATCH", b"*" + wanted + b"*", "COUNT", "1000"
        )
        for member, due in zip(found[::2], found[1::2], strict=True):
            if is_event(data(member), hearing.event_id):
                yield datetime.fromtimestamp(float(due), UTC), member
        if cursor == b"0":
            return


def is_event(data: bytes, event_id: str) -> bool:
    """Whether the bytes are this event's envelope."""
    if event_id.encode() not in data and msgspec.json.encode(event_id) not in data:
        return False
    try:
        return decode(data).id == event_id
    except Undecodable:
        return False

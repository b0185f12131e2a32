"""What is on the broker now: topics, groups, consumers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from opsplane.database import Pool, sql
from opsplane.events.broker import Broker
from opsplane.events.brokers import keys
from opsplane.events.brokers.resp import CommandRefused
from opsplane.events.ordered import parked_subjects
from opsplane.events.personal import Personal
from opsplane.events.streams import SUFFIX, number, topics

COUNTED = 10_000


class GroupOnTopic(msgspec.Struct, frozen=True):
    """How far a group is on one topic; `lag` counts what it was not given yet, at most 10,000 where it is counted."""

    group: str
    lag: int
    pending: int
    delivered: str


class Topic(msgspec.Struct, frozen=True):
    """A topic: how many entries, how many dead letters on its stream, who reads it."""

    topic: str
    length: int
    last_at: datetime | None
    dead_letters: int
    lag: int
    groups: list[GroupOnTopic]


class Member(msgspec.Struct, frozen=True):
    """One consumer of a group: whether its process lives, what it holds, for how long it asked for nothing."""

    name: str
    alive: bool
    pending: int
    idle_seconds: float


class Group(msgspec.Struct, frozen=True):
    """A consumer group over all its topics; `alive` counts its living consumers.

    Of an ordered group, `parked` subjects wait behind a failed event, with `aside` events set aside; `leader` reads.
    """

    group: str
    alive: int
    lag: int
    pending: int
    retries: int
    paused: bool
    topics: list[str]
    consumers: list[Member]
    parked: int = 0
    aside: int = 0
    leader: str | None = None


async def list_topics(broker: Broker, only: Sequence[str] = ()) -> list[Topic]:
    """Every topic, by name."""
    return list(await asyncio.gather(*(_topic(broker, name) for name in only or await topics(broker))))


async def list_groups(
    broker: Broker, pool: Pool | None = None, declared: Mapping[str, Sequence[str]] | None = None
) -> list[Group]:
    """Every group, by name: those on the streams, those `declared` (group → topics), those paused by an operator."""
    reads: dict[str, set[str]] = {group: set(found) for group, found in (declared or {}).items()}
    seen: dict[str, list[GroupOnTopic]] = {}
    for topic in await list_topics(broker):
        for group in topic.groups:
            reads.setdefault(group.group, set()).add(topic.topic)
            seen.setdefault(group.group, []).append(group)
    paused = set(await broker.paused())
    if pool is not None:
        paused = {row["consumer_group"] for row in await pool.fetch(sql(__package__, "list_pauses"))}
    return [
        await _group(broker, name, sorted(reads[name]), seen.get(name, []), name in paused)
        for name in sorted(reads)
    ]


async def tail(broker: Broker, topic: str, count: int = 10, *, personal: Personal) -> list[dict[str, Any]]:
    """The last entries of a topic, the latest first, decoded, personal data masked."""
    reply = await broker.call("XREVRANGE", topic, "+", "-", "COUNT", str(count))
    return [_shown(topic, entry_id, fields, personal) for entry_id, fields in reply]


async def following(
    broker: Broker, topic: str, count: int = 10, *, personal: Personal, follow: bool = True
) -> AsyncIterator[dict[str, Any]]:
    """The last entries of a topic, the latest last, and with `follow` those that come, for ever; masked as by `tail`."""
    last = "0-0"
    for entry in reversed(await tail(broker, topic, count, personal=personal)):
        last = entry["id"]
        yield entry
    while follow:
        reply = await broker.call("XREAD", "COUNT", "500", "BLOCK", "1000", "STREAMS", topic, last)
        for entry_id, fields in reply[0][1] if reply else ():
            last = entry_id.decode()
            yield _shown(topic, entry_id, fields, personal)


def _shown(topic: str, entry_id: bytes, fields: Sequence[bytes], personal: Personal) -> dict[str, Any]:
    return {"id": entry_id.decode(), "event": personal.view(_data(fields), topic).event}


async def _topic(broker: Broker, name: str) -> Topic:
    length = int(await broker.call("XLEN", name))
    dead = int(await broker.call("XLEN", name + SUFFIX))
    last = await broker.call("XREVRANGE", name, "+", "-", "COUNT", "1")
    at = datetime.fromtimestamp(number(last[0][0].decode())[0] / 1000, UTC) if last else None
    groups = [await _on_topic(broker, name, facts) for facts in await _info(broker, "GROUPS", name)]
    return Topic(name, length, at, dead, max([group.lag for group in groups], default=0), groups)


async def _on_topic(broker: Broker, topic: str, facts: Mapping[str, Any]) -> GroupOnTopic:
    delivered, lag = facts["last-delivered-id"].decode(), facts.get("lag")
    if lag is None:  # an older server, or one that lost count because entries were deleted
        lag = len(await broker.call("XRANGE", topic, f"({delivered}", "+", "COUNT", str(COUNTED)))
    return GroupOnTopic(facts["name"].decode(), int(lag), int(facts["pending"]), delivered)


async def _group(
    broker: Broker, name: str, reads: list[str], seen: Sequence[GroupOnTopic], paused: bool
) -> Group:
    members: dict[str, Member] = {}
    for stream in (*reads, keys.retry_stream(name)):
        for facts in await _info(broker, "CONSUMERS", stream, name):
            consumer, idle = facts["name"].decode(), facts["idle"] / 1000
            alive = bool(await broker.call("EXISTS", keys.lease(name, consumer)))
            other = members.get(consumer, Member(consumer, alive, 0, idle))
            pending = other.pending + int(facts["pending"])
            members[consumer] = Member(consumer, alive, pending, min(idle, other.idle_seconds))
    leader = await broker.call("GET", keys.leader(name))
    parked = await parked_subjects(broker, name)
    retries = int(await broker.call("ZCARD", keys.retry_schedule(name)))
    retries += int(await broker.call("XLEN", keys.retry_stream(name)))
    return Group(
        name,
        sum(member.alive for member in members.values()),
        sum(group.lag for group in seen),
        sum(group.pending for group in seen),
        retries,
        paused,
        reads,
        [members[consumer] for consumer in sorted(members)],
        len(parked),
        sum(one.events for one in parked),
        leader.split()[-1].decode() if leader else None,
    )


async def _info(broker: Broker, kind: str, *names: str) -> list[dict[str, Any]]:
    try:
        reply = await broker.call("XINFO", kind, *names)
    except CommandRefused:  # the stream or the group is not there yet
        return []
    return [dict(zip([key.decode() for key in one[::2]], one[1::2], strict=True)) for one in reply]


def _data(fields: Sequence[bytes]) -> bytes:
    return dict(zip(fields[::2], fields[1::2], strict=True)).get(b"data", b"")

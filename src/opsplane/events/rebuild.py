"""Rebuild: streams the broker has lost are filled again from the outboxes, from where the groups had come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from psycopg.rows import DictRow

from opsplane.database import Pool, sql
from opsplane.errors import Conflict
from opsplane.events.backbone import Backbone
from opsplane.events.broker import Entry
from opsplane.events.brokers.resp import CommandRefused
from opsplane.events.envelope import numbered
from opsplane.events.incarnations import look
from opsplane.events.streams import ZERO, number, topics
from opsplane.telemetry import get_logger

log = get_logger("events")
PAGE = 500


class Unconfirmed(Conflict):
    """Groups without an inbox would handle events again; nothing was changed."""


class Affected(msgspec.Struct, frozen=True):
    """A group that would be given events of a topic it has handled before, and has no inbox row for.

    `again` is how many they are at most: of what a group without any inbox read in the second after its last
    checkpoint, nobody knows.
    """

    group: str
    topic: str
    again: int


class Plan(msgspec.Struct, frozen=True):
    """What a rebuild would do: how many events are missing on each topic, which groups would see some again."""

    missing: dict[str, int]
    affected: list[Affected]


class Rebuilt(msgspec.Struct, frozen=True):
    """What a rebuild did."""

    refilled: dict[str, int]
    groups: list[str]


class _Position(msgspec.Struct, frozen=True):
    position: tuple[int, int]
    delivered: tuple[int, int]
    pending: int


Positions = Mapping[str, Mapping[str, _Position]]  # of each group on each topic


async def plan(backbone: Backbone, only: Collection[str] = ()) -> Plan:
    """What is missing now, without changing anything."""
    await look(backbone.pool, backbone.broker)
    positions, databases = await _positions(backbone), await _with_outbox(backbone)
    missing: dict[str, int] = {}
    again: dict[tuple[str, str], int] = {}
    for topic in await _topics(backbone, positions, databases, only):
        groups = positions.get(topic, {})
        async for _, rows in _lost(backbone, databases, topic, groups):
            missing[topic] = missing.get(topic, 0) + len(rows)
            for group in groups or await _groups(backbone, topic):
                known = groups.get(group) if await _has_inbox(databases, group) else None
                count = await _unprotected(backbone, group, _handled(rows, known))
                again[group, topic] = again.get((group, topic), 0) + count
    affected = [
        Affected(group, topic, count - _pending(positions, topic, group))
        for (group, topic), count in sorted(again.items())
        if count > _pending(positions, topic, group)
    ]
    return Plan(missing, affected)


async def rebuild(backbone: Backbone, only: Collection[str] = (), *, yes: bool = False) -> Rebuilt:
    """Fill the streams again; raises `Unconfirmed` when that needs a yes. Stopped half way, it is run once more."""
    planned = await plan(backbone, only)
    if planned.affected and not yes:
        listed = ", ".join(f"{one.group} ({one.again} of {one.topic})" for one in planned.affected)
        raise Unconfirmed(
            f"Groups without an inbox would handle events again: {listed}.",
            remedy="If they may, run it again with --yes.",
        )
    started = datetime.now(UTC)
    positions, databases = await _positions(backbone), await _with_outbox(backbone)
    for topic, groups in positions.items():
        if not only or topic in only:
            await _restart(backbone, topic, groups)
    refilled: dict[str, int] = {}
    for topic in planned.missing:
        async for database, rows in _lost(backbone, databases, topic, positions.get(topic, {})):
            await _refill(backbone, database, topic, rows)
            refilled[topic] = refilled.get(topic, 0) + len(rows)
    if not only:
        await backbone.pool.execute(sql(__package__, "mark_rebuilt"), [started])
    log.info("events.rebuilt", refilled=refilled)
    return Rebuilt(refilled, sorted({group for groups in positions.values() for group in groups}))


async def _positions(backbone: Backbone) -> Positions:
    found: dict[str, dict[str, _Position]] = {}
    for row in await backbone.pool.fetch(sql(__package__, "lost_checkpoints")):
        position = _Position(number(row["position"]), number(row["delivered"]), row["pending"])
        found.setdefault(row["stream"], {})[row["consumer_group"]] = position
    return found


async def _with_outbox(backbone: Backbone) -> list[Pool]:
    found = []
    for pool in backbone.databases.values():
        row = await pool.fetch_one(sql(__package__, "has_outbox"))
        if row and row["here"]:
            found.append(pool)
    return found


async def _topics(
    backbone: Backbone, positions: Positions, databases: Sequence[Pool], only: Collection[str]
) -> list[str]:
    if only:
        return sorted(only)
    found = set(positions) | set(await topics(backbone.broker))
    for pool in databases:
        found |= {row["topic"] for row in await pool.fetch(sql(__package__, "list_outbox_topics"))}
    return sorted(found)


async def _groups(backbone: Backbone, topic: str) -> list[str]:
    try:
        groups = await backbone.broker.call("XINFO", "GROUPS", topic)
    except CommandRefused:
        return []
    return [group[group.index(b"name") + 1].decode() for group in groups]


async def _lost(
    backbone: Backbone, databases: Sequence[Pool], topic: str, groups: Mapping[str, _Position]
) -> AsyncIterator[tuple[Pool, list[DictRow]]]:
    """Pages of events that were published to the topic behind its slowest group and do not stand there now."""
    start = min([one.position for one in groups.values()], default=ZERO)
    for database in databases:
        after = 0
        while rows := await database.fetch(
            sql(__package__, "select_published"),
            {"topic": topic, "ms": start[0], "sequence": start[1], "after": after, "limit": PAGE},
        ):
            after = rows[-1]["id"]
            there = await asyncio.gather(
                *(backbone.broker.call("XRANGE", topic, row["stream_id"], row["stream_id"]) for row in rows)
            )
            gone = [row for row, found in zip(rows, there, strict=True) if not _is(row, found)]
            if gone:
                yield database, gone


def _is(row: DictRow, found: Sequence[Any]) -> bool:
    """Whether the entry found under the event's id is the event: an emptied stream gives ids of that millisecond again."""
    return any(row["envelope"][:-1] in field for _, fields in found for field in fields)


def _handled(rows: Sequence[DictRow], position: _Position | None) -> list[str]:
    """The events the group may have been given before; all of them when nothing is known about it."""
    return [
        row["event_id"] for row in rows if position is None or number(row["stream_id"]) <= position.delivered
    ]


async def _has_inbox(databases: Sequence[Pool], group: str) -> bool:
    for pool in databases:
        row = await pool.fetch_one(sql(__package__, "has_effects"), [group])
        if row and row["here"]:
            return True
    return False


async def _unprotected(backbone: Backbone, group: str, event_ids: list[str]) -> int:
    """How many of the events neither stand in the group's inbox nor are dead letters of it."""
    open_ids = set(event_ids)
    if open_ids:
        dead = await backbone.pool.fetch(sql(__package__, "select_dead"), [group, event_ids])
        open_ids -= {row["event_id"] for row in dead}
    for pool in await _with_outbox(backbone):
        if open_ids:
            done = await pool.fetch(sql(__package__, "select_done"), [group, list(open_ids)])
            open_ids -= {row["event_id"] for row in done}
    return len(open_ids)


def _pending(positions: Positions, topic: str, group: str) -> int:
    known = positions.get(topic, {}).get(group)
    return known.pending if known else 0


async def _restart(backbone: Backbone, topic: str, groups: Iterable[str]) -> None:
    """The groups read the rebuilt stream from its beginning, also those whose consumers do not run now."""
    for group in groups:
        try:
            await backbone.broker.call("XGROUP", "CREATE", topic, group, "0", "MKSTREAM")
        except CommandRefused as error:
            if not str(error.reply).startswith("BUSYGROUP"):
                raise


async def _refill(backbone: Backbone, database: Pool, topic: str, rows: Sequence[DictRow]) -> None:
    entries = [
        Entry(topic, numbered(row["envelope"], row["sequence"]) if row["sequence"] else row["envelope"])
        for row in rows
    ]
    stream_ids = await backbone.broker.publish_many(entries)
    await database.execute(sql(__package__, "move_published"), [[row["id"] for row in rows], stream_ids])

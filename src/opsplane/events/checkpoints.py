"""Checkpoints: how far each group has come, written to PostgreSQL every second, for the day the broker is lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any, NamedTuple

from opsplane.database import Pool, sql
from opsplane.events.broker import Broker
from opsplane.events.brokers import keys
from opsplane.events.brokers.entries import delivered
from opsplane.events.brokers.keys import retry_schedule, retry_stream
from opsplane.events.brokers.resp import CommandRefused
from opsplane.events.incarnations import look
from opsplane.events.ordered.parked import read_parked
from opsplane.events.streams import before, number, text, topics
from opsplane.resilience import Stop
from opsplane.telemetry import get_logger

log = get_logger("events")
INTERVAL = 1.0
LOOK = 5.0
MOST_RETRIES = 1000


class Position(NamedTuple):
    """How far a group has come on a stream: all up to `position` is handled, `delivered` is the last it was given,
    `pending` counts what it was given and has not finished.
    """

    group: str
    stream: str
    position: str
    delivered: str
    pending: int


class Checkpoints:
    """Runs in the `events` role.

    A position is written only after the dead letters that existed when it was taken are rows (`settled` sees to
    it), and it never passes an entry that waits for a retry, nor one that holds up its subject in an ordered group
    or waits behind it: what lies behind it has its place in PostgreSQL.
    """

    name = "checkpoints"

    def __init__(
        self, pool: Pool, broker: Broker, settled: Callable[[], Awaitable[Any]], streams: Collection[str] = ()
    ) -> None:
        self._pool = pool
        self._broker = broker
        self._settled = settled
        self._streams = set(streams)
        self._look_at = 0.0

    async def run(self, stop: Stop) -> None:
        """Write until `stop`."""
        while not stop.is_set():
            await self.step()
            await stop.wait(INTERVAL)

    async def step(self) -> int:
        """How many positions were written now."""
        incarnation = await look(self._pool, self._broker)
        if time.monotonic() >= self._look_at:
            self._streams |= set(await topics(self._broker))
            self._look_at = time.monotonic() + LOOK
        rows = await self._pool.fetch(sql(__package__, "list_checkpoints"), [incarnation])
        known = {(row["consumer_group"], row["stream"]): row for row in rows}
        self._streams |= {stream for _, stream in known}
        ends = dict(
            zip(
                sorted(self._streams),
                await asyncio.gather(*map(self._end, sorted(self._streams))),
                strict=True,
            )
        )
        if any(ends[stream] < number(row["delivered"]) for (_, stream), row in known.items()):
            await look(self._pool, self._broker, lost=incarnation)
            return 0
        found = [position for stream in ends for position in await self._positions(stream)]
        await self._settled()
        if await look(self._pool, self._broker) != incarnation:
            return 0
        await self._write(incarnation, found)
        return len(found)

    async def _end(self, stream: str) -> tuple[int, int]:
        """The last id the stream ever gave; zero when there is no such stream."""
        try:
            info = await self._broker.call("XINFO", "STREAM", stream)
        except CommandRefused:
            return (0, 0)
        return number(info[info.index(b"last-generated-id") + 1].decode())

    async def _positions(self, stream: str) -> list[Position]:
        try:
            groups = await self._broker.call("XINFO", "GROUPS", stream)
        except CommandRefused:
            return []
        found = []
        for group in groups:
            facts = dict(zip(group[::2], group[1::2], strict=True))
            name, delivered_id = facts[b"name"].decode(), facts[b"last-delivered-id"].decode()
            pending = await self._broker.call("XPENDING", stream, name)
            held = await self._held(
                name, stream
            )  # after: what left the pending entries since then is found there
            if held is None:
                continue
            floors, aside = await self._parked(name, stream)
            unfinished = int(pending[0]) + len(held) + aside
            held += floors
            if pending[1] is not None:
                held.append(pending[1].decode())
            position = min([number(delivered_id), *(number(before(one)) for one in held)])
            found.append(Position(name, stream, text(position), delivered_id, unfinished))
        return found

    async def _held(self, group: str, stream: str) -> list[str] | None:
        """The ids of the stream's entries that wait for their retry; None when they are too many to look at."""
        schedule, private = retry_schedule(group), retry_stream(group)
        waiting: set[bytes] = set(await self._broker.call("ZRANGE", schedule, "0", str(MOST_RETRIES)))
        entries = await self._broker.call("XRANGE", private, "-", "+", "COUNT", str(MOST_RETRIES + 1))
        waiting.update(
            await self._broker.call("ZRANGE", schedule, "0", str(MOST_RETRIES))
        )  # failed once more since
        if max(len(waiting), len(entries)) > MOST_RETRIES:
            log.warning("events.checkpoint_held", group=group, stream=stream)
            return None
        metadata = [member[10 : 10 + int(member[:10])] for member in waiting]
        found = [delivered(b"", b"", [b"metadata", one]).metadata for one in metadata]
        found += [delivered(b"", entry_id, fields).metadata for entry_id, fields in entries]
        return [
            beside["sourceId"]
            for beside in found
            if beside.get("sourceTopic") == stream and "sourceId" in beside and "deadLetterId" not in beside
        ]

    async def _parked(self, group: str, stream: str) -> tuple[list[str], int]:
        """Where the stream's entries begin that are parked in an ordered group, and how many were set aside.

        Those of a subject parked on several topics are not counted: of whose they are too many is asked.
        """
        found = await read_parked(self._broker, group)
        here = {subject: parked for subject, parked in found.items() if stream in parked.floor}
        alone = [subject for subject, parked in here.items() if len(parked.floor) == 1]
        counts = await asyncio.gather(
            *(self._broker.call("LLEN", keys.aside(group, subject)) for subject in alone)
        )
        return [parked.floor[stream] for parked in here.values()], sum(map(int, counts))

    async def _write(self, incarnation: str, found: list[Position]) -> None:
        async with self._pool.transaction() as tx, tx.cursor() as cursor:
            await cursor.executemany(
                sql(__package__, "upsert_checkpoint"), [(incarnation, *position) for position in found]
            )

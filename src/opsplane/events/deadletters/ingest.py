"""Ingest: what consumers and foreign sidecars put on dead letter streams becomes rows, each once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection

from opsplane.database import Pool, sql
from opsplane.events.backbone import ROOM
from opsplane.events.broker import Broker, Delivered
from opsplane.events.brokers.entries import delivered
from opsplane.events.deadletters.letter import SUFFIX, record
from opsplane.events.personal import Personal
from opsplane.events.streams import scan
from opsplane.telemetry import get_logger

log = get_logger("events")
BATCH = 500
LOOK = 2.0


class Ingest:
    """Reads every `<topic>.dlq`. Rows and position are committed together, so a crash neither loses nor doubles."""

    def __init__(self, pool: Pool, broker: Broker, topics: Collection[str], personal: Personal) -> None:
        self._pool = pool
        self._personal = personal
        self._broker = broker
        self._streams = {topic + SUFFIX for topic in topics}
        self._look_at = 0.0

    async def step(self) -> int:
        """How many entries were read from all streams now, to the end of each."""
        rows = await self._pool.fetch(sql(ROOM, "list_positions"))
        positions = {row["stream"]: row["stream_id"] for row in rows}
        streams = await self._known(positions)
        return sum(await asyncio.gather(*(self._drain(stream, positions.get(stream)) for stream in streams)))

    async def _known(self, positions: Collection[str]) -> list[str]:
        if time.monotonic() >= self._look_at:
            self._streams |= {name for name in await scan(self._broker) if name.endswith(SUFFIX)}
            self._look_at = time.monotonic() + LOOK
        return sorted(self._streams | set(positions))

    async def _drain(self, stream: str, position: str | None) -> int:
        count = 0
        while entries := await self._after(stream, position or "0-0"):
            async with self._pool.transaction() as tx:
                row = await (await tx.execute(sql(ROOM, "lock_position"), [stream])).fetchone()
                if position is not None and row is not None and row["stream_id"] != position:
                    return count  # another process has read on meanwhile
                async with tx.cursor() as cursor:
                    await cursor.executemany(
                        sql(ROOM, "record_dead_letter"), [record(entry, self._personal) for entry in entries]
                    )
                position = entries[-1].id
                await tx.execute(sql(ROOM, "move_position"), [position, stream])
            log.info("events.dead_letters_recorded", stream=stream, count=len(entries))
            count += len(entries)
        return count

    async def _after(self, stream: str, position: str) -> list[Delivered]:
        reply = await self._broker.call("XRANGE", stream, f"({position}", "+", "COUNT", str(BATCH))
        return [delivered(stream.encode(), entry_id, fields) for entry_id, fields in reply]

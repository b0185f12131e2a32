"""The keeper of dead letters: reads them in, takes replayed ones out, keeps streams and table in step."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from opsplane.database import Pool, sql
from opsplane.events.backbone import ROOM
from opsplane.events.broker import Broker
from opsplane.events.brokers.keys import REPLAYED
from opsplane.events.configuration import EventsFile
from opsplane.events.deadletters.ingest import Ingest
from opsplane.events.deadletters.letter import found_by
from opsplane.events.deadletters.projection import Projection
from opsplane.events.personal import Personal
from opsplane.events.schemas import Schemas
from opsplane.events.thresholds import threshold
from opsplane.resilience import Stop
from opsplane.telemetry import gauge

_open = gauge("dlq_messages", "Dead letters waiting or being replayed.", ["topic"])
_threshold = gauge("dlq_threshold", "Number of dead letters above which a topic needs attention.", ["topic"])
INTERVAL = 0.5
HOUSEKEEPING = 5.0
BATCH = 500


class DeadLetterKeeper:
    """Runs in the `events` role; several processes may, as every step holds the rows it works on."""

    name = "dead letter keeper"

    def __init__(
        self,
        pool: Pool,
        broker: Broker,
        topics: Collection[str] = (),
        schemas: Schemas | None = None,
        file: EventsFile | None = None,
    ) -> None:
        self._file = file or EventsFile()
        self._personal = Personal(schemas or Schemas())
        self.ingest = Ingest(pool, broker, topics, self._personal)
        self._projection = Projection(pool, broker)
        self._pool = pool
        self._broker = broker
        self._retention = self._file.current.retention.dead_letters

    async def run(self, stop: Stop) -> None:
        """Keep until `stop`."""
        clean_in = 0.0
        await self._index()
        while not stop.is_set():
            await self.step()
            clean_in -= INTERVAL
            if clean_in <= 0:
                await self._keep_house()
                clean_in = HOUSEKEEPING
            await stop.wait(INTERVAL)

    async def step(self) -> None:
        """Everything that is to do now."""
        await self.ingest.step()
        await self.confirm()
        await self._projection.step()

    async def confirm(self) -> int:
        """How many replayed dead letters were resolved because their group acknowledged them."""
        count = 0
        while entries := await self._broker.call("XRANGE", REPLAYED, "-", "+", "COUNT", str(BATCH)):
            ids = [fields[1].decode() for _, fields in entries if fields]
            numbers = [int(one) for one in ids if one.isdecimal() and len(one) < 19]
            count += len(await self._pool.fetch(sql(ROOM, "resolve_dead_letters"), {"ids": numbers}))
            await self._broker.call("XDEL", REPLAYED, *(entry_id for entry_id, _ in entries))
        await self._pool.execute(sql(ROOM, "finish_replays"))
        return count

    async def _index(self) -> None:
        """Have dead letters found by their words that were recorded before there were any."""
        while rows := await self._pool.fetch(sql(ROOM, "select_unindexed"), [BATCH]):
            async with self._pool.transaction() as tx, tx.cursor() as cursor:
                await cursor.executemany(
                    sql(ROOM, "insert_dead_letter_text"), [self._text(row) for row in rows]
                )

    def _text(self, row: DictRow) -> dict[str, Any]:
        facts = {**row, "id": row["event_id"], "type": row["event_type"]}
        return {"letter": row["id"], **found_by(facts, self._personal.view(row["data"], row["topic"]))}

    async def _keep_house(self) -> None:
        for row in await self._pool.fetch(sql(ROOM, "count_dead_letters"), [Jsonb({})]):
            _open.labels(row["topic"]).set(row["count"])
            _threshold.labels(row["topic"]).set(threshold(row["topic"], self._file.current.alerts.thresholds))
        await self._pool.execute(sql(ROOM, "prune_dead_letters"), [self._retention])

"""The replayer: sends the events of running replays to the group that failed, at the rate asked for."""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg.rows import DictRow

from opsplane.database import Connection, Pool, sql
from opsplane.events.backbone import ROOM
from opsplane.events.broker import Broker
from opsplane.events.brokers.keys import retry_stream
from opsplane.events.incarnations import incarnation
from opsplane.resilience import Stop
from opsplane.telemetry import counter, get_logger

log = get_logger("events")
_sent = counter("dlq_replayed_total", "Dead letters sent again.", ["topic"])
INTERVAL = 0.05  # between two looks while something is sent
IDLE = 0.5
MOST = 200
REMEMBERED = "604800"

# Adds an event to a stream (KEYS[2]) unless this replay (KEYS[1]) has sent this dead letter (ARGV[1]) already.
_SEND = """
if redis.call('SADD', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('XADD', KEYS[2], '*', 'data', ARGV[3], 'metadata', ARGV[4])
return 1
"""


class Replayer:
    """Sends into the failed group's private stream, so that no other group sees the event again.

    A dead letter stays in the queue until the group acknowledges it; what was sent before the broker lost its
    memory is sent again. An entry whose group is not known came from a foreign application and goes to its topic.
    """

    name = "dead letter replayer"

    def __init__(self, pool: Pool, broker: Broker) -> None:
        self._pool = pool
        self._broker = broker

    async def run(self, stop: Stop) -> None:
        """Send until `stop`."""
        sent = 0
        while not await stop.wait(INTERVAL if sent else IDLE):
            sent = await self.step()

    async def step(self) -> int:
        """How many events were sent now."""
        current = await incarnation(self._pool)
        if current is None:
            return 0
        async with self._pool.transaction() as tx:
            facts = {"most": MOST, "incarnation": current}
            jobs = await (await tx.execute(sql(ROOM, "lock_replays"), facts)).fetchall()
            return sum([await self._send(tx, job, current) for job in jobs if job["due"] > 0])

    async def _send(self, tx: Connection, job: DictRow, current: str) -> int:
        parameters = [job["id"], current, job["due"]]
        rows = await (await tx.execute(sql(ROOM, "select_to_replay"), parameters)).fetchall()
        for row in rows:
            await self._send_one(job["id"], row)
            _sent.labels(row["topic"]).inc()
        await tx.execute(sql(ROOM, "mark_sent"), [current, [row["id"] for row in rows]])
        await tx.execute(sql(ROOM, "pace_replay"), {"sent": len(rows), "replay": job["id"]})
        foreign = [row["id"] for row in rows if row["consumer_group"] is None]
        if foreign:
            await tx.execute(sql(ROOM, "resolve_dead_letters"), {"ids": foreign})
        log.info("events.replayed", replay=job["id"], count=len(rows))
        return len(rows)

    async def _send_one(self, replay: int, row: DictRow) -> None:
        beside: dict[str, Any] = {"sourceTopic": row["topic"], "deadLetterId": str(row["id"])}
        if row["source_id"]:
            beside["sourceId"] = row["source_id"]
        group = row["consumer_group"]
        await self._broker.call(
            "EVAL", _SEND, "2", f"opsplane:replay:{replay}", retry_stream(group) if group else row["topic"],
            str(row["id"]), REMEMBERED, row["data"], msgspec.json.encode(beside),
        )  # fmt: skip

"""Breakers that operators hold open: the truth is in PostgreSQL, consumers look at its copy in the broker."""

from __future__ import annotations

import msgspec

from opsplane.database import Pool, sql
from opsplane.events.backbone import ROOM
from opsplane.events.broker import Broker
from opsplane.events.brokers.keys import HELD_OPEN
from opsplane.resilience import Stop

INTERVAL = 1.0


async def project(pool: Pool, broker: Broker) -> frozenset[str]:
    """The breakers held open, after the broker was told about all of them and no others."""
    rows = await pool.fetch(sql(ROOM, "list_breaker_holds"))
    wanted = {row["breaker"]: msgspec.json.encode(row["held_by"]) for row in rows}
    there = {name.decode() for name in await broker.call("HKEYS", HELD_OPEN)}
    for name in wanted.keys() - there:
        await broker.call("HSET", HELD_OPEN, name, wanted[name])
    if gone := sorted(there - wanted.keys()):
        await broker.call("HDEL", HELD_OPEN, *gone)
    return frozenset(wanted)


class BreakerProjection:
    """Tells the broker every second; runs in the `events` role."""

    name = "breaker projection"

    def __init__(self, pool: Pool, broker: Broker) -> None:
        self._pool = pool
        self._broker = broker

    async def run(self, stop: Stop) -> None:
        """Tell until `stop`."""
        while not stop.is_set():
            await project(self._pool, self._broker)
            await stop.wait(INTERVAL)

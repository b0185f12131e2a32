"""Pauses of consumer groups: the truth is in PostgreSQL, consumers look at its copy in the broker."""

from __future__ import annotations

from opsplane.database import Pool, sql
from opsplane.events.broker import Broker
from opsplane.events.brokers.keys import PAUSED
from opsplane.resilience import Stop

INTERVAL = 1.0


async def project(pool: Pool, broker: Broker) -> frozenset[str]:
    """The paused groups, after the broker was told about all of them and no others."""
    rows = await pool.fetch(sql(__package__, "list_pauses"))
    wanted = {row["consumer_group"] for row in rows}
    there = await broker.paused()
    if wanted - there:
        await broker.call("SADD", PAUSED, *sorted(wanted - there))
    if there - wanted:
        await broker.call("SREM", PAUSED, *sorted(there - wanted))
    return frozenset(wanted)


class PauseProjection:
    """Tells the broker every second, so that a pause outlives the broker's memory; runs in the `events` role."""

    name = "pause projection"

    def __init__(self, pool: Pool, broker: Broker) -> None:
        self._pool = pool
        self._broker = broker

    async def run(self, stop: Stop) -> None:
        """Tell until `stop`."""
        while not stop.is_set():
            await project(self._pool, self._broker)
            await stop.wait(INTERVAL)

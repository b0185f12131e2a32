"""The keeper of parked subjects: tells a group that the event its subject waits for was given up."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from opsplane.database import Pool, sql
from opsplane.events.backbone import ROOM
from opsplane.events.broker import Broker
from opsplane.events.brokers import keys
from opsplane.events.ordered.parked import ParkedSubject, parked_subjects
from opsplane.resilience import Stop
from opsplane.telemetry import get_logger

log = get_logger("events")
INTERVAL = 1.0
AGAIN = 60.0


class ParkedKeeper:
    """Runs in the `events` role, which alone knows what became of dead letters.

    It looks at what is, not at what an operator does, so that nothing it tells can be lost for good: while the subject
    is parked, it is told again every minute.
    """

    name = "parked keeper"

    def __init__(self, pool: Pool, broker: Broker, groups: Sequence[str]) -> None:
        self._pool = pool
        self._broker = broker
        self._groups = groups
        self._told: dict[tuple[str, str], float] = {}

    async def run(self, stop: Stop) -> None:
        """Tell until `stop`."""
        while not await stop.wait(INTERVAL):
            await self.step()

    async def step(self) -> int:
        """How many groups were told of how many events that were given up."""
        now = time.monotonic()
        self._told = {told: at for told, at in self._told.items() if now - at < AGAIN}
        return sum([await self._group(group) for group in self._groups])

    async def _group(self, group: str) -> int:
        waiting = [
            one for one in await parked_subjects(self._broker, group) if one.waits_for == "dead letter"
        ]
        given_up = await self._given_up(group, waiting) if waiting else []
        for one in given_up:
            await self._tell(one)
        return len(given_up)

    async def _given_up(self, group: str, waiting: Sequence[ParkedSubject]) -> list[ParkedSubject]:
        facts = {
            "group": group,
            "sources": [one.source for one in waiting],
            "ids": [one.event_id for one in waiting],
            "since": [one.since for one in waiting],
        }
        rows = await self._pool.fetch(sql(ROOM, "select_given_up"), facts)
        found = {(row["source"], row["event_id"]) for row in rows}
        return [
            one
            for one in waiting
            if (one.source, one.event_id) in found and (group, one.event) not in self._told
        ]

    async def _tell(self, one: ParkedSubject) -> None:
        beside = msgspec.json.encode({"givenUp": one.event})
        await self._broker.call("XADD", keys.retry_stream(one.group), "*", "data", b"{}", "metadata", beside)
        self._told[one.group, one.event] = time.monotonic()
        log.info("events.given_up_told", group=one.group, subject=one.subject, given_up=one.event)

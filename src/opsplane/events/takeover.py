"""Taking over: entries of dead consumers are run by the living, one at a time, with their starts counted."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from opsplane.events.broker import Broker, BrokerUnavailable, Delivered
from opsplane.events.chain import Settler, Work
from opsplane.events.gate import Gate
from opsplane.events.handling import Handling
from opsplane.resilience import Stop
from opsplane.telemetry import get_logger

log = get_logger("events")
FORGET = 600.0


class Takeover:
    """Looks for dead consumers of a group every `interval` seconds; `process` runs one of their entries."""

    def __init__(
        self,
        handling: Handling,
        broker: Broker,
        gate: Gate,
        process: Callable[[Delivered, Stop], Awaitable[None]],
        *,
        interval: float,
        max_deliveries: int,
    ) -> None:
        self._handling = handling
        self._broker = broker
        self._gate = gate
        self._process = process
        self._interval = interval
        self._max_deliveries = max_deliveries
        self._forget_at = 0.0

    async def run(self, consumer: str, stop: Stop) -> None:
        """Take over for `consumer` until `stop`."""
        group, topics = self._handling.group, self._handling.topics
        while not await stop.wait(self._interval):
            try:
                if not await self._gate.is_shut():
                    await self.step(consumer, stop)
                if time.monotonic() >= self._forget_at:
                    await self._broker.forget_consumers(group, topics)
                    self._forget_at = time.monotonic() + FORGET
            except BrokerUnavailable as error:
                log.warning("events.recovery_waits", group=group, error=error.message)

    async def step(self, consumer: str, stop: Stop) -> int:
        """How many entries of dead consumers were run, one at a time, now."""
        count, group, topics = 0, self._handling.group, self._handling.topics
        for dead in await self._broker.dead_consumers(group, topics):
            if dead == consumer:
                continue
            while not stop.is_set():
                entry = await self._broker.claim_one(group, consumer, dead, topics)
                if entry is None:
                    break
                await self._run(consumer, entry, stop)
                count += 1
        return count

    async def _run(self, consumer: str, entry: Delivered, stop: Stop) -> None:
        group = self._handling.group
        starts = await self._broker.count_start(group, entry)
        if starts > self._max_deliveries:
            settler = Settler(self._broker, group, consumer, self._handling.clock, self._handling.personal)
            work = Work(entry, recovered=True)
            if work.topic in self._handling.consumers:
                work.consumer = self._handling.consumers[work.topic]
            await settler.poison(work, starts - 1)
            return
        await self._handling.epochs.look(self._broker, group)
        log.info("events.recovered", group=group, entry=entry.id, stream=entry.stream, start=starts)
        await self._process(entry, stop)

"""A consumer group in this process: reads, runs the chain, settles; and takes over from dead consumers."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Sequence

from opsplane.errors import Conflict
from opsplane.events.breakers import Breakers, Guard, More
from opsplane.events.broker import Broker, BrokerUnavailable, Delivered, Reader
from opsplane.events.brokers import keys
from opsplane.events.chain import Settler, Work, mark_seen
from opsplane.events.consumer import Consumer
from opsplane.events.context import Service
from opsplane.events.gate import Gate
from opsplane.events.handling import Handling
from opsplane.events.schemas import Schemas
from opsplane.events.takeover import Takeover
from opsplane.resilience import BreakerPolicy, Stop
from opsplane.telemetry import get_logger, histogram

log = get_logger("events")
_seconds = histogram("event_processing_duration_seconds", "Time handlers take, per batch read.", ["service"])
BLOCK = 0.5


class ConsumerGroup:
    """All consumers of one group of a service; `run` is its duty. Start it in as many processes as wanted."""

    def __init__(
        self,
        consumers: Sequence[Consumer],
        service: Service,
        broker: Broker,
        schemas: Schemas,
        *,
        prefetch: int = 200,
        recovery_interval: float = 1.0,
        max_deliveries: int = 3,
        breaker: BreakerPolicy = BreakerPolicy(),  # noqa: B008  frozen
    ) -> None:
        self._handling = Handling(consumers, service, schemas)
        self.group = self._handling.group
        self.name = f"consumer {self.group}"
        self.consumer = unique_name()
        self._broker = broker
        self._per_stream = max(1, prefetch // (len(self.topics) + 1))
        self._guard = guard_of(self._handling, consumers, service, broker, breaker)
        self._gate = Gate(broker, self.group, self._guard.breakers if self._guard else None)
        self._takeover = Takeover(
            self._handling,
            broker,
            self._gate,
            self._process_recovered,
            interval=recovery_interval,
            max_deliveries=max_deliveries,
        )

    @property
    def topics(self) -> list[str]:
        """Every topic the group reads."""
        return self._handling.topics

    async def run(self, stop: Stop) -> None:
        """Consume until `stop`; the entry being handled is finished, the rest is left to others.

        Every run is a consumer of its own: what a failed one still held is recovered like a dead process's.
        """
        await self._refuse_parked()
        self.consumer = unique_name()
        await self._broker.lease(self.group, self.consumer)
        sweeper = asyncio.create_task(self._handling.deadlines.sweep(), name=f"deadlines {self.group}")
        recovery = asyncio.create_task(self._takeover.run(self.consumer, stop), name=f"recovery {self.group}")
        helpers = [sweeper, recovery]
        if self._guard is not None:
            self._guard.consumer = self.consumer
            await self._guard.breakers.look()
            helpers.append(asyncio.create_task(self._guard.keep(), name=f"breakers {self.group}"))
        try:
            await self._read_until(stop, helpers)
            await recovery
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            await self._end_lease()

    async def recover(self, stop: Stop) -> int:
        """How many entries of dead consumers were run, one at a time, now."""
        return await self._takeover.step(self.consumer, stop)

    async def process(
        self,
        entries: Sequence[Delivered],
        stop: Stop | None = None,
        *,
        recovered: bool = False,
        reader: Reader | None = None,
    ) -> None:
        """Run every entry through the chain and settle it."""
        if not entries:
            return
        settler = Settler(
            self._broker, self.group, self.consumer, self._handling.clock, self._handling.personal
        )
        started = time.perf_counter()
        fresh = await self._fresh(entries, settler, recovered=recovered)
        if self._guard is None:
            await self._handle(fresh, settler, stop)
        else:
            await self._guard.handle(fresh, settler, stop, self._more(reader, settler))
        await settler.flush()
        _seconds.labels(self.group).observe(time.perf_counter() - started)

    async def _fresh(
        self, entries: Sequence[Delivered], settler: Settler, *, recovered: bool = False
    ) -> list[Work]:
        """Those entries that have to be handled; the others are settled."""
        works = []
        for entry in entries:
            work = Work(entry, recovered=recovered)
            if await self._handling.prepare(work, settler):
                works.append(work)
        await mark_seen(self._broker, self.group, works)
        fresh = []
        for work in works:
            if work.seen:
                await settler.succeed(work)
            else:
                fresh.append(work)
        return fresh

    def _more(self, reader: Reader | None, settler: Settler) -> More | None:
        """Reads further entries while some wait."""
        if reader is None:
            return None

        async def more(count: int, block: float) -> list[Work]:
            return await self._fresh(await self._read(reader, count, block), settler)

        return more

    async def _handle(self, fresh: Sequence[Work], settler: Settler, stop: Stop | None) -> None:
        side_by_side = self._handling.concurrency
        if side_by_side == 1 or len(fresh) == 1:
            await self._handling.run(fresh, settler, stop)
            return
        lanes = [fresh[lane::side_by_side] for lane in range(side_by_side)]
        _raise_first(
            await asyncio.gather(
                *(self._handling.run(lane, settler, stop) for lane in lanes if lane), return_exceptions=True
            )
        )

    async def _process_recovered(self, entry: Delivered, stop: Stop) -> None:
        """It is finished also after `stop`, unless it waits for a dependency."""
        await self.process([entry], stop if self._guard else None, recovered=True)

    async def _read_until(self, stop: Stop, helpers: Sequence[asyncio.Task[None]]) -> None:
        reader = await self._broker.reader(self.group, self.consumer, self.topics)
        try:
            while not stop.is_set():
                if await self._gate.is_shut():
                    await stop.wait(BLOCK)
                    continue
                probing = self._guard is not None and self._guard.breakers.shut
                entries = await self._read(reader, 1 if probing else self._per_stream, BLOCK)
                await self.process(entries, stop, reader=reader)
                _raise_if_failed(helpers)
        finally:
            await reader.close()

    async def _read(self, reader: Reader, count: int, block: float) -> list[Delivered]:
        entries = await reader.read(count, block)
        self._handling.epochs.take(reader.epochs)
        return entries

    async def _refuse_parked(self) -> None:
        """Return unless events are set aside from a time when the group was ordered: only its leader takes them up."""
        if await self._broker.call("EXISTS", keys.parked(self.group)):
            raise Conflict(
                f"Events of {self.group} are parked from a time when it was ordered.",
                remedy='Declare it ordered="skip" until they are handled: see opsplane consumer ls',
            )

    async def _end_lease(self) -> None:
        try:
            await self._broker.unlease(self.group, self.consumer)
        except BrokerUnavailable as error:
            log.info("events.lease_runs_out", group=self.group, error=error.message)


def guard_of(
    handling: Handling,
    consumers: Sequence[Consumer],
    service: Service,
    broker: Broker,
    policy: BreakerPolicy,
) -> Guard | None:
    """What runs the handlers of a group behind its breakers; None when they name no dependency."""
    if not any(consumer.dependencies for consumer in consumers):
        return None
    return Guard(handling, broker, Breakers(broker, consumers, service.clock, policy))


def unique_name() -> str:
    """A name no other consumer has, which tells host and process."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def _raise_first(outcomes: Sequence[BaseException | None]) -> None:
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


def _raise_if_failed(helpers: Sequence[asyncio.Task[None]]) -> None:
    for helper in helpers:
        if helper.done() and not helper.cancelled() and (error := helper.exception()) is not None:
            raise error

"""A consumer group in this process: reads, runs the chain, settles; and takes over from dead consumers."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Sequence
from itertools import groupby

from opsplane.errors import InvalidInput
from opsplane.events.broker import Broker, BrokerUnavailable, Delivered
from opsplane.events.chain import (
    Deadlines,
    Effects,
    Settler,
    Work,
    decode_work,
    is_unavailable,
    mark_seen,
    refuse_expired,
    validate_work,
)
from opsplane.events.consumer import Consumer, Service
from opsplane.events.schemas import Schemas
from opsplane.resilience import Stop
from opsplane.telemetry import get_logger, histogram

log = get_logger("events")
_seconds = histogram("event_processing_duration_seconds", "Time handlers take, per batch read.", ["service"])
BLOCK = 0.5
FORGET = 600.0


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
    ) -> None:
        self.group = consumers[0].group
        self.name = f"consumer {self.group}"
        self.consumer = _unique_name()
        self._consumers = _by_topic(consumers)
        self._service = service
        self._broker = broker
        self._schemas = schemas
        self._max_deliveries = max_deliveries
        self._concurrency = max(consumer.concurrency for consumer in consumers)
        self._per_stream = max(1, prefetch // (len(self._consumers) + 1))
        self._interval = recovery_interval
        self._forget_at = 0.0
        self._deadlines = Deadlines()
        self._effects = Effects(service, self._deadlines)
        self._paused_until_looked = 0.0
        self._paused = False

    @property
    def topics(self) -> list[str]:
        """Every topic the group reads."""
        return sorted(self._consumers)

    async def run(self, stop: Stop) -> None:
        """Consume until `stop`; the entry being handled is finished, the rest is left to others.

        Every run is a consumer of its own: what a failed one still held is recovered like a dead process's.
        """
        self.consumer = _unique_name()
        await self._broker.lease(self.group, self.consumer)
        sweeper = asyncio.create_task(self._deadlines.sweep(), name=f"deadlines {self.group}")
        recovery = asyncio.create_task(self._recover_until(stop), name=f"recovery {self.group}")
        try:
            await self._read_until(stop, (sweeper, recovery))
            await recovery
        finally:
            for helper in (sweeper, recovery):
                helper.cancel()
            await asyncio.gather(sweeper, recovery, return_exceptions=True)
            await self._end_lease()

    async def _read_until(self, stop: Stop, helpers: Sequence[asyncio.Task[None]]) -> None:
        reader = await self._broker.reader(self.group, self.consumer, self.topics)
        try:
            while not stop.is_set():
                if await self._is_paused():
                    await stop.wait(BLOCK)
                    continue
                await self.process(await reader.read(self._per_stream, BLOCK), stop)
                _raise_if_failed(helpers)
        finally:
            await reader.close()

    async def _end_lease(self) -> None:
        try:
            await self._broker.unlease(self.group, self.consumer)
        except BrokerUnavailable as error:
            log.info("events.lease_runs_out", group=self.group, error=error.message)

    async def process(
        self, entries: Sequence[Delivered], stop: Stop | None = None, *, recovered: bool = False
    ) -> None:
        """Run every entry through the chain and settle it."""
        if not entries:
            return
        settler = Settler(self._broker, self.group, self.consumer, self._service.clock)
        started = time.perf_counter()
        works = []
        for entry in entries:
            work = Work(entry, recovered=recovered)
            if await self._prepare(work, settler):
                works.append(work)
        await mark_seen(self._broker, self.group, works)
        fresh = []
        for work in works:
            if work.seen:
                await settler.succeed(work)
            else:
                fresh.append(work)
        if self._concurrency == 1 or len(fresh) == 1:
            await self._handle(fresh, settler, stop)
        else:
            lanes = [fresh[lane :: self._concurrency] for lane in range(self._concurrency)]
            _raise_first(
                await asyncio.gather(
                    *(self._handle(lane, settler, stop) for lane in lanes if lane), return_exceptions=True
                )
            )
        await settler.flush()
        _seconds.labels(self.group).observe(time.perf_counter() - started)

    async def _prepare(self, work: Work, settler: Settler) -> bool:
        try:
            decode_work(work, self._consumers)
            refuse_expired(work, self._service.clock.now())
            validate_work(work, self._schemas)
        except Exception as error:  # noqa: BLE001  whatever is wrong with an entry, it is settled with its reason
            await settler.fail(work, error, 0.0)
            return False
        return True

    async def _handle(self, works: Sequence[Work], settler: Settler, stop: Stop | None) -> None:
        lane = self._deadlines.lane()
        try:
            for consumer, run in groupby(works, key=lambda work: work.consumer):
                if consumer.batch is None:
                    for work in run:
                        if stop is not None and stop.is_set():
                            return
                        await self._handle_one(work, settler)
                else:
                    await self._handle_batches(consumer, list(run), settler, stop)
        finally:
            self._deadlines.release(lane)

    async def _handle_one(self, work: Work, settler: Settler) -> None:
        started = time.perf_counter()
        try:
            await self._effects.one(work)
        except Exception as error:  # noqa: BLE001  every error of a handler is classified and settled
            await settler.fail(work, error, time.perf_counter() - started)
        else:
            await settler.succeed(work)

    async def _handle_batches(
        self, consumer: Consumer, works: list[Work], settler: Settler, stop: Stop | None
    ) -> None:
        size = consumer.batch or 1
        for first in range(0, len(works), size):
            if stop is not None and stop.is_set():
                return
            await self._handle_batch(consumer, works[first : first + size], settler)

    async def _handle_batch(self, consumer: Consumer, batch: list[Work], settler: Settler) -> None:
        """All together; when that fails and not because something is unavailable, each alone."""
        started = time.perf_counter()
        try:
            await self._effects.many(consumer, batch)
        except Exception as error:  # noqa: BLE001  every error of a handler is classified and settled
            if len(batch) == 1 or is_unavailable(error):
                for work in batch:
                    await settler.fail(work, error, time.perf_counter() - started)
                return
            log.info("events.batch_split", group=self.group, size=len(batch), error=type(error).__name__)
            for work in batch:
                await self._handle_one(work, settler)
        else:
            for work in batch:
                await settler.succeed(work)

    async def _is_paused(self) -> bool:
        if time.monotonic() >= self._paused_until_looked:
            self._paused = self.group in await self._broker.paused()
            self._paused_until_looked = time.monotonic() + BLOCK
        return self._paused

    async def _recover_until(self, stop: Stop) -> None:
        while not await stop.wait(self._interval):
            try:
                if not await self._is_paused():
                    await self.recover(stop)
                if time.monotonic() >= self._forget_at:
                    await self._broker.forget_consumers(self.group, self.topics)
                    self._forget_at = time.monotonic() + FORGET
            except BrokerUnavailable as error:
                log.warning("events.recovery_waits", group=self.group, error=error.message)

    async def recover(self, stop: Stop) -> int:
        """How many entries of dead consumers were run, one at a time, now."""
        count = 0
        for dead in await self._broker.dead_consumers(self.group, self.topics):
            if dead == self.consumer:
                continue
            while not stop.is_set():
                entry = await self._broker.claim_one(self.group, self.consumer, dead, self.topics)
                if entry is None:
                    break
                await self._run_recovered(entry)
                count += 1
        return count

    async def _run_recovered(self, entry: Delivered) -> None:
        starts = await self._broker.count_start(self.group, entry)
        if starts > self._max_deliveries:
            settler = Settler(self._broker, self.group, self.consumer, self._service.clock)
            work = Work(entry, recovered=True)
            if work.topic in self._consumers:
                work.consumer = self._consumers[work.topic]
            await settler.poison(work, starts - 1)
            return
        log.info("events.recovered", group=self.group, entry=entry.id, stream=entry.stream, start=starts)
        await self.process([entry], recovered=True)


def _unique_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def _raise_first(outcomes: Sequence[BaseException | None]) -> None:
    for outcome in outcomes:
        if outcome is not None:
            raise outcome


def _by_topic(consumers: Sequence[Consumer]) -> dict[str, Consumer]:
    found: dict[str, Consumer] = {}
    for consumer in consumers:
        for topic in consumer.topics:
            if topic in found or consumer.group != consumers[0].group:
                raise InvalidInput(
                    f"{topic} is consumed twice in group {consumer.group}.",
                    remedy="Use one consumer, or another group.",
                )
            found[topic] = consumer
    return found


def _raise_if_failed(helpers: Sequence[asyncio.Task[None]]) -> None:
    for helper in helpers:
        if helper.done() and not helper.cancelled() and (error := helper.exception()) is not None:
            raise error

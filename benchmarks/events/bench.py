"""What is measured of events: publishing, the chain, the inbox, the durable path, latency; each in one process."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opsplane.clock import SYSTEM
from opsplane.database import Doorbell, Pool, migrate
from opsplane.embedded import Postgres, Valkey
from opsplane.embedded.ports import free_ports
from opsplane.events import (
    BatchContext,
    Broker,
    ConsumerGroup,
    Context,
    Entry,
    Event,
    Outbox,
    Relay,
    Schemas,
    Service,
    connect,
    consumer,
    encode,
    new_event,
)
from opsplane.resilience import Stop, run_duties

COUNT = 50_000
TOPIC = "bench.note.written"
SCHEMA = {
    "type": "object",
    "required": ["note", "price", "quantity"],
    "additionalProperties": False,
    "properties": {
        "note": {"type": "string", "maxLength": 1000},
        "price": {"type": "number", "minimum": 0},
        "quantity": {"type": "integer", "minimum": 0},
    },
}


@asynccontextmanager
async def benches(home: Path) -> AsyncIterator[Bench]:
    """The bench on engines of its own, whose data is in `home`."""
    users = {user: secrets.token_urlsafe(16) for user in ("events", "service", "admin")}
    password = secrets.token_urlsafe(16)
    valkey = Valkey(home / "valkey", port=free_ports(1)[0], passwords=users, log=home / "valkey.log")
    postgres = Postgres(
        home / "postgres", port=free_ports(1)[0], password=password, log=home / "postgres.log"
    )
    try:
        await asyncio.to_thread(valkey.start)
        await asyncio.to_thread(postgres.start)
        postgres.provision({"bench": "bench"})
        bench = await Bench.open(valkey.url("admin"), postgres.dsn("bench", "bench", "bench"), home)
        try:
            yield bench
        finally:
            await bench.close()
    finally:
        postgres.stop()
        valkey.stop()


def event(number: int) -> Event[Any]:
    data = {"note": "x" * 400, "price": 12.5, "quantity": number % 7}
    return new_event(TOPIC, data, source="bench", subject=f"note-{number % 1000}")


@dataclass
class Meter:
    """Wall and CPU seconds since it was made."""

    count: int
    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)

    def read(self) -> dict[str, float]:
        wall, cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu
        return {"per_s": self.count / wall, "cpu_us": cpu / self.count * 1e6}


@dataclass
class Bench:
    """One service with its database, a broker, and the parts that are measured."""

    url: str
    broker: Broker
    pool: Pool
    doorbell: Doorbell
    schemas: Schemas

    @classmethod
    async def open(cls, url: str, dsn: str, home: Path) -> Bench:
        (home / "schemas" / TOPIC).mkdir(parents=True)
        (home / "schemas" / TOPIC / "1.json").write_text(json.dumps(SCHEMA))
        pool = await Pool.open(dsn, max_size=4)
        await migrate(pool, "events", "opsplane.events.migrations")
        return cls(url, connect(url), pool, Doorbell(dsn), Schemas.load(home / "schemas"))

    def parts(self) -> dict[str, Callable[[], Awaitable[dict[str, float]]]]:
        return {
            "publish": self.publish, "chain": self.chain, "batch": self.batch,
            "inbox": self.inbox, "durable": self.durable,
        }  # fmt: skip

    async def publish(self, count: int = COUNT) -> dict[str, float]:
        """Validate, encode and publish in bulk; making the events is the caller's and not counted."""
        events = [event(number) for number in range(count)]
        meter = Meter(count)
        for first in range(0, count, 500):
            chunk = events[first : first + 500]
            for one in chunk:
                self.schemas.require(one.type, one.data)
            await self.broker.publish_many([Entry(TOPIC, encode(one)) for one in chunk])
        return meter.read()

    async def chain(self) -> dict[str, float]:
        """The whole chain with an async handler of one event that does nothing."""
        await self.publish()
        done = 0

        @consumer(TOPIC, group="single")
        async def handle(event: Event[Any], ctx: Context) -> None:
            nonlocal done
            done += 1

        meter = Meter(COUNT)
        async with self.consuming(
            ConsumerGroup([handle], self.service, self.broker, self.schemas, prefetch=1000)
        ):
            await until(lambda: done >= COUNT)
            return meter.read()

    async def batch(self) -> dict[str, float]:
        """The whole chain with a handler of up to 500 events."""
        await self.publish()
        done = 0

        @consumer(TOPIC, group="batch", batch=500)
        async def handle(events: list[Event[Any]], ctx: BatchContext) -> None:
            nonlocal done
            done += len(events)

        meter = Meter(COUNT)
        async with self.consuming(
            ConsumerGroup([handle], self.service, self.broker, self.schemas, prefetch=1000)
        ):
            await until(lambda: done >= COUNT)
            return meter.read()

    async def inbox(self) -> dict[str, float]:
        """A handler of batches whose effect happens once: inbox rows and effect in one transaction."""
        await self.publish()
        return await self.consume_once(Meter(COUNT))

    async def durable(self) -> dict[str, float]:
        """Committed to the outbox before; from there through relay and stream to a handler."""
        outbox = Outbox(self.schemas, "bench", self.doorbell)
        for first in range(0, COUNT, 500):
            async with self.pool.transaction() as tx:
                await outbox.publish(tx, *[event(number) for number in range(first, first + 500)])
        done = 0

        @consumer(TOPIC, group="durable", batch=500)
        async def handle(events: list[Event[Any]], ctx: BatchContext) -> None:
            nonlocal done
            done += len(events)

        relay = Relay("bench", self.pool, self.broker, self.doorbell)
        meter = Meter(COUNT)
        group = ConsumerGroup([handle], self.service, self.broker, self.schemas, prefetch=1000)
        async with self.consuming(group, relay):
            await until(lambda: done >= COUNT)
            return meter.read()

    async def consume_once(self, meter: Meter) -> dict[str, float]:
        done = 0

        @consumer(TOPIC, group="inbox", batch=500)
        async def handle(events: list[Event[Any]], ctx: BatchContext) -> None:
            nonlocal done
            async with ctx.once() as (tx, fresh):
                await tx.execute(
                    "insert into effect select unnest(%s::text[])", [[event.subject for event in fresh]]
                )
            done += len(events)

        async with self.consuming(
            ConsumerGroup([handle], self.service, self.broker, self.schemas, prefetch=1000)
        ):
            await until(lambda: done >= COUNT)
            return meter.read()

    async def latency(self, rate: int = 1000, seconds: int = 5) -> dict[str, float]:
        """From publish to handler, milliseconds, at a steady rate."""
        waits: list[float] = []
        sent: dict[str, float] = {}

        @consumer(TOPIC, group="latency")
        async def handle(event: Event[Any], ctx: Context) -> None:
            waits.append(time.perf_counter() - sent.pop(event.id))

        async with self.consuming(ConsumerGroup([handle], self.service, self.broker, self.schemas)):
            await asyncio.sleep(0.5)
            start = time.perf_counter()
            for number in range(rate * seconds):
                await asyncio.sleep(max(0.0, start + number / rate - time.perf_counter()))
                told = event(number)
                sent[told.id] = time.perf_counter()
                await self.broker.publish_many([Entry(TOPIC, encode(told))])
            await until(lambda: len(waits) >= rate * seconds)
        waits.sort()
        return {f"p{percent}": round(waits[len(waits) * percent // 100] * 1e3, 2) for percent in (50, 99)}

    @property
    def service(self) -> Service:
        return Service("bench", self.pool, Outbox(self.schemas, "bench"), SYSTEM)

    @asynccontextmanager
    async def consuming(self, *duties: Any) -> AsyncIterator[None]:
        stop = Stop()
        task = asyncio.create_task(run_duties(duties, stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def clear(self) -> None:
        await self.broker.call("FLUSHALL")
        await self.pool.execute("drop table if exists effect")
        await self.pool.execute("create table effect (subject text)")
        await self.pool.execute("truncate outbox, outbox_subject, inbox")

    async def close(self) -> None:
        await self.doorbell.close()
        await self.broker.close()
        await self.pool.close()


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(240):
        while not check():
            await asyncio.sleep(0.005)

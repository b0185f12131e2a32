"""A consumer one of whose events ends its process, and a supervisor that starts it again.

    python -m tests.faults.poison_process DSN BROKER --poison ID [--batch N] [--lease SECONDS] [--at-once]

`--at-once` plants the defect: what a dead consumer left is taken over all together, a start counted for each.
"""

from __future__ import annotations

import argparse
import os
import signal
from typing import Any

import uvloop
from tests.faults.event_process import GROUP, SCHEMAS, TOPIC

from opsplane.clock import SYSTEM
from opsplane.database import Doorbell, Pool
from opsplane.events import (
    BatchContext,
    Consumer,
    ConsumerGroup,
    Context,
    Event,
    Outbox,
    Service,
    connect,
    consumer,
)
from opsplane.events.brokers import leases, redis_streams
from opsplane.events.takeover import Takeover
from opsplane.resilience import Stop, run_duties

INSERT = "insert into effect (event_id) values (%s)"


class AtOnce(Takeover):
    """The planted defect: a takeover that saves round trips."""

    async def step(self, consumer: str, stop: Stop) -> int:
        found, topics = [], self._handling.topics
        for dead in await self._broker.dead_consumers(self._handling.group, topics):
            while dead != consumer:
                entry = await self._broker.claim_one(self._handling.group, consumer, dead, topics)
                if entry is None:
                    break
                starts = await self._broker.count_start(self._handling.group, entry)
                found.append((entry, starts))
        for entry, starts in found:
            if starts > self._max_deliveries:
                await self._run(consumer, entry, stop)
            else:
                await self._process(entry, stop)
        return len(found)


def handler(options: argparse.Namespace) -> Consumer:
    def die_of(event: Event[Any]) -> None:
        if event.id == options.poison:
            os.kill(os.getpid(), signal.SIGKILL)

    @consumer(TOPIC, group=GROUP)
    async def one(event: Event[Any], ctx: Context) -> None:
        die_of(event)
        async with ctx.once() as tx:
            await tx.execute(INSERT, [event.id])

    @consumer(TOPIC, group=GROUP, batch=max(1, options.batch))
    async def many(events: list[Event[Any]], ctx: BatchContext) -> None:
        async with ctx.once() as (tx, fresh):
            for event in fresh:
                die_of(event)
                await tx.execute(INSERT, [event.id])

    return many if options.batch else one


async def main(options: argparse.Namespace) -> None:
    leases.LEASE_MS = redis_streams.LEASE_MS = int(options.lease * 1000)
    leases.RENEW_SECONDS = options.lease / 5
    pool, doorbell = await Pool.open(options.dsn), Doorbell(options.dsn)
    service = Service("shop", pool, Outbox(SCHEMAS, "shop", doorbell), SYSTEM)
    group = ConsumerGroup([handler(options)], service, connect(options.broker), SCHEMAS)
    if options.at_once:
        group._takeover.__class__ = AtOnce
    await run_duties([group], Stop())


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("dsn")
    parser.add_argument("broker")
    parser.add_argument("--poison", required=True)
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--lease", type=float, required=True)
    parser.add_argument("--at-once", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(read_options()))

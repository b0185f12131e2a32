"""The processes of the event experiments: a writer, the relay, a consumer, the events role. All of them may be killed.

    python -m tests.faults.event_process (writer|relay|consumer|events) DSN BROKER [options]

The options that plant a defect change this process only:

- relay `--marks-first`: rows are marked as published before they are sent;
- relay `--never-looks-back`: what a restarted broker has lost of its last writes is not put back;
- consumer `--acknowledges-first`: entries are acknowledged before they are handled;
- consumer `--no-inbox`: the handler does not ask whether the effect is there already.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema_rs
import psycopg
import uvloop

from opsplane.clock import SYSTEM
from opsplane.database import Connection, Doorbell, Pool
from opsplane.errors import Unavailable
from opsplane.events import (
    BatchContext,
    Broker,
    Consumer,
    ConsumerGroup,
    Entry,
    Event,
    Outbox,
    Relay,
    Schemas,
    Service,
    connect,
    consumer,
    new_event,
)
from opsplane.events.broker import Delivered
from opsplane.events.duties import events_duties
from opsplane.events.schemas import Schema
from opsplane.resilience import Duty, Retry, Stop, run_duties

TOPIC, GROUP, SUBJECTS = "shop.item.created", "indexer", 50
SCHEMAS = Schemas([Schema(TOPIC, 1, {}, jsonschema_rs.validator_for({}))])


async def write(pool: Pool, doorbell: Doorbell, options: argparse.Namespace) -> None:
    """Write events in transactions of their own; what was committed is noted in a file, and only that.

    A number is never used again: nobody knows what became of a transaction whose commit had no answer.
    """
    outbox = Outbox(SCHEMAS, "shop", doorbell)
    with Path(options.notes).open("a", buffering=1) as notes:
        for first in range(0, options.count, options.size):
            numbers = range(first, min(first + options.size, options.count))
            events = [
                new_event(TOPIC, {"n": n}, source="shop", subject=f"s{n % SUBJECTS}", id=f"{n:08}")
                for n in numbers
            ]
            try:
                async with pool.transaction() as tx:
                    await outbox.publish(tx, *events)
            except (psycopg.OperationalError, Unavailable) as error:
                print(f"not acknowledged from {first}: {error}")
            else:
                notes.write(f"{numbers[0]} {len(numbers)}\n")
            await asyncio.sleep(options.pace)


class MarksFirst(Relay):
    """The planted defect: a relay that is sure of itself."""

    async def publish_waiting(self) -> int:
        real, entries = self._broker, []

        class Later:
            interruptions = self._interruptions  # and it does not look back either

            async def publish_many(self, found: Sequence[Entry]) -> list[str]:
                entries.extend(found)
                return ["0-1"] * len(entries)

        self._broker = Later()  # type: ignore[assignment]
        try:
            count = await super().publish_waiting()
        finally:
            self._broker = real
        await asyncio.sleep(0.05)
        await real.publish_many(entries)
        return count


class NeverLooksBack(Relay):
    """The planted defect: a relay that takes a restarted broker for the one it knew."""

    async def _look_back(self) -> None:
        self._interruptions = self._broker.interruptions


class AcknowledgesFirst(ConsumerGroup):
    """The planted defect: a group that settles before it knows."""

    async def process(self, entries: Sequence[Delivered], stop: Stop | None = None, **options: Any) -> None:
        for entry in entries:
            await self._broker.call("XACK", entry.stream, self.group, entry.id)
        await super().process(entries, stop, **options)


def handler(options: argparse.Namespace) -> Consumer:
    async def take_effect(tx: Connection, events: Sequence[Event[Any]]) -> None:
        await tx.execute(
            "insert into effect (event_id) select unnest(%s::text[])", [[one.id for one in events]]
        )
        await asyncio.sleep(options.slow * len(events))

    @consumer(TOPIC, group=options.group, batch=100, retry=Retry(3, "100ms..1s"))
    async def apply(events: list[Event[Any]], ctx: BatchContext) -> None:
        if options.no_inbox:
            async with ctx.pool.transaction() as tx:
                await take_effect(tx, events)
            return
        async with ctx.once() as (tx, fresh):
            await take_effect(tx, fresh)

    return apply


def duties(pool: Pool, broker: Broker, doorbell: Doorbell, options: argparse.Namespace) -> list[Duty]:
    if options.role == "relay":
        kind = MarksFirst if options.marks_first else NeverLooksBack if options.never_looks_back else Relay
        return [kind("shop", pool, broker, doorbell)]
    if options.role == "events":
        return events_duties(pool, broker, [options.group], [TOPIC])
    service = Service("shop", pool, Outbox(SCHEMAS, "shop", doorbell), SYSTEM)
    group = AcknowledgesFirst if options.acknowledges_first else ConsumerGroup
    return [group([handler(options)], service, broker, SCHEMAS)]


async def main(options: argparse.Namespace) -> None:
    pool, doorbell = await Pool.open(options.dsn), Doorbell(options.dsn)
    if options.role == "writer":
        await write(pool, doorbell, options)
        await doorbell.close()
        await pool.close()
        return
    await run_duties(duties(pool, connect(options.broker), doorbell, options), Stop())


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["writer", "relay", "consumer", "events"])
    parser.add_argument("dsn")
    parser.add_argument("broker")
    parser.add_argument("--group", default=GROUP)
    parser.add_argument("--count", type=int)
    parser.add_argument("--size", type=int, default=10)
    parser.add_argument("--pace", type=float, default=0.0)
    parser.add_argument("--notes")
    parser.add_argument("--slow", type=float, default=0.0)
    for defect in ("--marks-first", "--never-looks-back", "--acknowledges-first", "--no-inbox"):
        parser.add_argument(defect, action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(read_options()))

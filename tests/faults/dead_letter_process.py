"""The processes of the dead letter experiments: the events role and a service with two groups. Any of them may be killed.

    python -m tests.faults.dead_letter_process (events|service) DSN BROKER [options]

- events `--dies-after N`: ends itself, as by `kill -9`, when a replay has sent its Nth event and not noted that it did;
- events `--forgets` (a planted defect): a replay does not remember in the broker what it has sent;
- service `--no-inbox` (a planted defect): the handler does not ask whether the effect is there already.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from typing import Any

import jsonschema_rs
import uvloop
from psycopg.rows import DictRow

from opsplane.clock import SYSTEM
from opsplane.database import Doorbell, Pool
from opsplane.events import (
    BatchContext,
    Broker,
    ConsumerGroup,
    Event,
    Outbox,
    Reject,
    Schemas,
    Service,
    connect,
    consumer,
)
from opsplane.events.deadletters import Replayer, replayer
from opsplane.events.duties import events_duties
from opsplane.events.schemas import Schema
from opsplane.resilience import Duty, Retry, Stop, run_duties

TOPIC, GROUP, OTHER = "shop.item.created", "indexer", "auditor"
EFFECT = "insert into effect select unnest(%s::text[])"
SCHEMA = {"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string"}}}
SCHEMAS = Schemas([Schema(TOPIC, 1, SCHEMA, jsonschema_rs.validator_for(SCHEMA))])


class Mortal(Replayer):
    """Ends its process between sending and noting that it has sent."""

    left = 0

    async def _send_one(self, replay: int, row: DictRow) -> None:
        await super()._send_one(replay, row)
        Mortal.left -= 1
        if Mortal.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def events(pool: Pool, broker: Broker, options: argparse.Namespace) -> list[Duty]:
    found = events_duties(pool, broker, [GROUP], [TOPIC], schemas=SCHEMAS)
    if options.forgets:
        remembers = "if redis.call('SADD', KEYS[1], ARGV[1]) == 0 then return 0 end"
        assert remembers in replayer._SEND
        replayer._SEND = replayer._SEND.replace(remembers, "")
    if options.dies_after:
        Mortal.left = options.dies_after
        found = [Mortal(pool, broker) if isinstance(duty, Replayer) else duty for duty in found]
    return found


def service(pool: Pool, broker: Broker, doorbell: Doorbell, options: argparse.Namespace) -> list[Duty]:
    mended, look_at = False, 0.0

    async def is_mended() -> bool:
        nonlocal mended, look_at
        if not mended and time.monotonic() > look_at:
            mended = await pool.fetch_one("select from mended") is not None
            look_at = time.monotonic() + 0.1
        return mended

    @consumer(TOPIC, group=GROUP, retry=Retry(0), dead_letters="indexer-events", batch=100)
    async def index(events: list[Event[Any]], ctx: BatchContext) -> None:
        for event in events:
            if event.data["kind"] == "refused":
                raise Reject(f"nobody wants {event.id}")
            if not await is_mended():
                raise KeyError(event.data["nothing"])
        if options.no_inbox:
            await ctx.pool.execute(EFFECT, [[event.id for event in events]])
            return
        async with ctx.once() as (tx, fresh):
            await tx.execute(EFFECT, [[event.id for event in fresh]])

    @consumer(TOPIC, group=OTHER, retry=Retry(0), batch=100)
    async def look(events: list[Event[Any]], ctx: BatchContext) -> None:
        await ctx.pool.execute("insert into seen select unnest(%s::text[])", [[event.id for event in events]])

    owner = Service("shop", pool, Outbox(SCHEMAS, "shop", doorbell), SYSTEM)
    return [ConsumerGroup([index], owner, broker, SCHEMAS), ConsumerGroup([look], owner, broker, Schemas())]


async def main(options: argparse.Namespace) -> None:
    pool, broker, doorbell = await Pool.open(options.dsn), connect(options.broker), Doorbell(options.dsn)
    if options.role == "events":
        await run_duties(events(pool, broker, options), Stop())
    else:
        await run_duties(service(pool, broker, doorbell, options), Stop())


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["events", "service"])
    parser.add_argument("dsn")
    parser.add_argument("broker")
    parser.add_argument("--dies-after", type=int, default=0)
    for defect in ("--forgets", "--no-inbox"):
        parser.add_argument(defect, action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    uvloop.run(main(read_options()))

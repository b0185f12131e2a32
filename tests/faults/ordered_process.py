"""A member of an ordered group, to be killed or stopped: its handler writes a history in the effect's own transaction.

    python -m tests.faults.ordered_process DSN BROKER (skip|park) [options]

Every hundredth event fails when it is first tried. The options that plant a defect change this process only:

- `--all-lead`: nobody asks who leads, and no step is refused because another does;
- `--blind`: the leader does not look whether the session lives that holds its leadership, and hears late from the broker
  that another leads;
- `--unfenced`: effects are not held against the epoch.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from opsplane.clock import SYSTEM
from opsplane.database import Doorbell, Leader, Pool
from opsplane.events import (
    Consumer,
    Context,
    Event,
    OrderedGroup,
    Outbox,
    Schemas,
    Service,
    connect,
    consumer,
)
from opsplane.events.brokers.tenure import RedisTenure
from opsplane.events.fence import Deposed, Fence
from opsplane.events.ordered import group as ordered
from opsplane.resilience import Retry, Stop, run_duties

TOPIC, GROUP = "shop.item.created", "ledger"


def handler(options: argparse.Namespace) -> Consumer:
    """Notes that it was started, fails the first time where it has to, and writes the history once."""

    @consumer(
        TOPIC,
        group=GROUP,
        ordered=options.mode,
        concurrency=options.concurrency,
        retry=Retry(20, "50ms..200ms"),
    )
    async def handle(event: Event[Any], ctx: Context) -> None:
        if event.data["fails"] and await ctx.pool.execute(
            "insert into failed values (%s) on conflict do nothing", [event.id]
        ):
            raise TimeoutError("the first time")
        if options.note:
            await ctx.pool.execute("insert into started values (%s)", [event.id])
        await asyncio.sleep(options.before)
        async with ctx.once() as tx:
            epoch = ctx._fence.epoch if ctx._fence else 0
            await tx.execute(
                "insert into history (subject, n, epoch) values (%s, %s, %s)",
                [event.subject, event.data["n"], epoch],
            )
            await asyncio.sleep(options.inside)

    return handle


@asynccontextmanager
async def _always(_: Leader, __: Stop) -> AsyncIterator[bool]:
    yield True


async def _yes(_: Leader) -> bool:
    return True


async def _first(*_: Any) -> int:
    return 1


async def _unwatched(self: RedisTenure, commands: Any) -> list[Any]:
    return await self._connection.transaction(commands) if commands else []


_step = RedisTenure._step


async def _late(self: RedisTenure, commands: Any) -> list[Any]:
    try:
        return await _step(self, commands)
    except Deposed:
        await asyncio.sleep(3.0)
        raise


async def _held(*_: Any) -> None:
    return None


def plant(options: argparse.Namespace) -> None:
    """The defects."""
    if options.all_lead:
        vars(ordered)["take_epoch"] = _first
        Leader.hold, Leader.still, RedisTenure._step = _always, _yes, _unwatched  # type: ignore[method-assign,assignment]
    if options.blind:
        Leader.still, RedisTenure._step = _yes, _late  # type: ignore[method-assign]
    if options.all_lead or options.unfenced:
        Fence.hold = _held  # type: ignore[method-assign]


async def main(options: argparse.Namespace) -> None:
    """Be a member until killed."""
    pool = await Pool.open(options.dsn, max_size=options.concurrency + 2, timeout=30.0)
    service = Service("shop", pool, Outbox(Schemas(), "shop", Doorbell(options.dsn)), SYSTEM)
    group = OrderedGroup([handler(options)], service, connect(options.broker), Schemas())
    await run_duties([group], Stop())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("dsn", "broker", "mode"):
        parser.add_argument(name)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--before", type=float, default=0.0)
    parser.add_argument("--inside", type=float, default=0.0)
    for name in ("--note", "--all-lead", "--blind", "--unfenced"):
        parser.add_argument(name, action="store_true")
    found = parser.parse_args()
    plant(found)
    asyncio.run(main(found))

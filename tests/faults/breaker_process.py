"""A consumer to be cut off from its dependency, a Unix socket: asks it about every event, then has its effect once.

`--buggy` has a handler with a bug instead. Planted defects: `--counts-bugs` takes a bug for an absence, `--never-holds`
settles what failed for an absence like any other failure, `--forgets-order` puts what it held back at the end.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from opsplane.clock import SYSTEM
from opsplane.database import Pool
from opsplane.events import (
    BatchContext,
    ConsumerGroup,
    Context,
    Event,
    Outbox,
    Schemas,
    Service,
    connect,
    consumer,
)
from opsplane.events.breakers import guard, hand
from opsplane.resilience import BreakerPolicy, Retry, Stop, run_duties

TOPIC, GROUP, BATCH = "faults.call.wanted", "callers", 20
OPTIONS: dict[str, Any] = {"group": GROUP, "dependencies": ("callee",), "retry": Retry(3, "200ms")}


async def ask(path: str) -> None:
    _, writer = await asyncio.open_unix_connection(path)
    writer.close()


def one_by_one(path: str) -> Any:
    @consumer(TOPIC, **OPTIONS)
    async def handle(event: Event[Any], ctx: Context) -> None:
        async with ctx.dependency("callee"):
            await ask(path)
        async with ctx.once() as tx:
            await tx.execute(
                "insert into effect (number, process) values (%s, %s)", [event.data["n"], os.getpid()]
            )

    return handle


def in_batches(path: str) -> Any:
    @consumer(TOPIC, batch=BATCH, **OPTIONS)
    async def handle(events: list[Event[Any]], ctx: BatchContext) -> None:
        await ask(path)
        async with ctx.once() as (tx, fresh):
            numbers = [event.data["n"] for event in fresh]
            await tx.execute(
                "insert into effect (number, process) select n, %s from unnest(%s::bigint[]) with ordinality as t(n, o)"
                " order by o",
                [os.getpid(), numbers],
            )

    return handle


def buggy(path: str) -> Any:
    @consumer(TOPIC, **OPTIONS)
    async def handle(event: Event[Any], ctx: Context) -> None:
        async with ctx.dependency("callee"):
            await ask(path)
            raise KeyError(event.id)

    return handle


def plant() -> None:
    """The planted defects."""
    if "--counts-bugs" in sys.argv:
        vars(guard)["is_unavailable"] = lambda _: True
    if "--never-holds" in sys.argv:

        async def settle(self: Any, held: Any, unit: Any, _: str) -> bool:
            await self._fail(held, unit, attributed=True)
            return True

        guard.Guard._is_to_blame = settle  # type: ignore[method-assign]
    if "--forgets-order" in sys.argv:
        hand.Hand.put_back = lambda self, *units: self.ready.extend(units)  # type: ignore[method-assign]


async def main(url: str, dsn: str, path: str) -> None:
    pool, broker = await Pool.open(dsn, max_size=4), connect(url)
    handler = buggy if "--buggy" in sys.argv else in_batches if "--batches" in sys.argv else one_by_one
    service = Service("faults", pool, Outbox(Schemas(), "faults"), SYSTEM)
    policy = BreakerPolicy() if "--batches" in sys.argv else BreakerPolicy(wait="250ms..1s")
    group = ConsumerGroup([handler(path)], service, broker, Schemas(), breaker=policy)
    await run_duties([group], Stop())


if __name__ == "__main__":
    plant()
    asyncio.run(main(*sys.argv[1:4]))

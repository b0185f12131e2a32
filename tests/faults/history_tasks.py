"""Many kinds of tasks whose handlers write what they do into the history, and the workshop that runs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.faults.worker_process import Runtime

from opsplane.database import Connection, Pool
from opsplane.resilience import Retry
from opsplane.tasks import (
    Fenced,
    NewTask,
    Reject,
    Snooze,
    TaskContext,
    TaskType,
    task,
)

LEAVES = 10
RETRY = Retry(20, "50ms..500ms")
NOTE = "insert into history (task_id, what, token) values (%s, %s, %s)"


async def note(connection: Connection, ctx: TaskContext, what: str) -> None:
    await connection.execute(NOTE, [ctx.id, what, ctx.claim_token])


async def finish(ctx: TaskContext) -> None:
    """Complete the task with its effect, or note that this was refused."""
    try:
        async with ctx.pool.transaction() as tx:
            await ctx.complete(tx)
            await note(tx, ctx, "effect")
    except Fenced:
        await asyncio.shield(refused(ctx))
        raise


async def refused(ctx: TaskContext) -> None:
    async with ctx.pool.connection() as connection:
        await note(connection, ctx, "refused")


async def effect(ctx: TaskContext, params: dict[str, Any]) -> None:
    await asyncio.sleep(params.get("seconds", 0.02))
    await finish(ctx)


async def plain(_ctx: TaskContext, _params: dict[str, Any]) -> None:
    await asyncio.sleep(0.02)


async def flaky(ctx: TaskContext, _params: dict[str, Any]) -> None:
    if ctx.claim.retry_count < 2:
        raise ValueError("not yet")
    await finish(ctx)


async def sleepy(ctx: TaskContext, _params: dict[str, Any]) -> None:
    if ctx.attempt < 3:
        raise Snooze(0.3)
    await finish(ctx)


async def bad(_ctx: TaskContext, _params: dict[str, Any]) -> None:
    raise Reject("never")


async def stairs(ctx: TaskContext, _params: dict[str, Any]) -> None:
    for number in range(4):
        await ctx.step(f"step {number}", asyncio.sleep, 0.05)
    await finish(ctx)


async def tree(ctx: TaskContext, _params: dict[str, Any]) -> None:
    await ctx.fan_out([NewTask(task_type="effect")] * LEAVES, policy="ignore")
    await finish(ctx)


TYPES: Sequence[TaskType] = [
    *(
        task(handler.__name__, emit="none", retry=RETRY)(handler)
        for handler in (effect, plain, flaky, sleepy)
    ),
    task("told", emit="all", retry=RETRY)(effect),
    task("thread", emit="none", retry=RETRY, isolation="thread")(effect),
    task("process", emit="all", retry=RETRY, isolation="process")(effect),
    task("bad", emit="all", retry=RETRY)(bad),
    task("stairs", emit="none", retry=RETRY)(stairs),
    task("tree", emit="all", retry=RETRY)(tree),
]


@dataclass(frozen=True)
class Shop:
    """A workshop on the operations database; a thread or a process opens its own."""

    dsn: str

    def types(self) -> Sequence[TaskType]:
        return TYPES

    @asynccontextmanager
    async def runtime(self, service: str | None) -> AsyncIterator[Runtime]:
        pool = await Pool.open(self.dsn)
        try:
            yield Runtime(pool)
        finally:
            await pool.close()

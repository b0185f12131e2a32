"""A worker whose process dies while a parent fans out: `before` or `after` the commit, in the first attempt.

`--apart` plants a defect: the children are created in a transaction of their own, not in that of their parent's waiting.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

from tests.faults.worker_process import Runtime

from opsplane.database import Doorbell, Pool
from opsplane.resilience import Duty, Retry, Stop, run_duties
from opsplane.tasks import NewTask, OpenWorkshop, TaskContext, Worker, fan_out, producer, task


@task("leaf", emit="none", retry=Retry(0))
async def leaf(ctx: TaskContext, _params: dict[str, Any]) -> None:
    async with ctx.pool.transaction() as tx:
        await tx.execute("insert into effect values (%s, %s)", [ctx.id, ctx.claim_token])
        await ctx.complete(tx)


@task("tree", emit="none", retry=Retry(0))
async def tree(ctx: TaskContext, params: dict[str, Any]) -> dict[str, Any]:
    await ctx.pool.execute("insert into started values (%s, %s)", [ctx.id, ctx.claim_token])
    told = await ctx.fan_out([NewTask(task_type="leaf")] * params["children"])
    return {"total": told.total, "completed": told.completed}


def die_at(moment: str) -> None:
    """Kill this process at the moment meant."""
    name = {"before": "_park", "after": "go"}[moment]
    spreading: Any = vars(fan_out)["Spreading"]
    done = getattr(spreading, name)

    async def deadly(self: Any, *arguments: Any, **options: Any) -> Any:
        found = await done(self, *arguments, **options)
        if self._context.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(spreading, name, deadly)


def part() -> None:
    """The planted defect."""
    made: Any = vars(producer)["Producer"]
    together = made.create_many

    async def apart(self: Any, _tx: Any, news: Any) -> Any:
        async with self.pool.transaction() as own:
            return await together(self, own, news)

    made.create_many = apart


async def main(dsn: str) -> None:
    pool = await Pool.open(dsn, max_size=10)
    shop = OpenWorkshop([tree, leaf], {None: Runtime(pool)})
    duty: Duty = Worker(pool, shop, doorbell=Doorbell(dsn), slots=20)
    await run_duties([duty], Stop())


if __name__ == "__main__":
    die_at(sys.argv[2])
    if "--apart" in sys.argv:
        part()
    asyncio.run(main(sys.argv[1]))

"""A worker to be killed inside a step: each of twelve steps notes its call, waits where it is told to, and has its effect.

`--unstored` plants a defect: steps are not kept.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from tests.faults.worker_process import Runtime

from opsplane.database import Doorbell, Pool
from opsplane.resilience import Duty, Retry, Stop, run_duties
from opsplane.tasks import OpenWorkshop, TaskContext, Worker, steps, task

STEPS = 12


@task("stairs", emit="none", retry=Retry(0))
async def stairs(ctx: TaskContext, params: dict[str, Any]) -> dict[str, Any]:
    async def climb(number: int) -> int:
        await ctx.pool.execute("insert into called values (%s, %s, %s)", [ctx.id, number, ctx.attempt])
        met = params["stops"].index(number) + 1 if number in params["stops"] else 0
        if met == ctx.attempt:
            await asyncio.sleep(3600)
        await ctx.pool.execute("insert into climbed values (%s, %s, %s)", [ctx.id, number, ctx.attempt])
        return number * number

    return {"sum": sum([await ctx.step(f"step {number}", climb, number) for number in range(1, STEPS + 1)])}


def unstore() -> None:
    """The planted defect."""

    async def nothing(*_arguments: Any) -> None:
        return None

    vars(steps)["Steps"]._store = nothing


async def main(dsn: str) -> None:
    pool = await Pool.open(dsn, max_size=5)
    duty: Duty = Worker(pool, OpenWorkshop([stairs], {None: Runtime(pool)}), doorbell=Doorbell(dsn), slots=4)
    await run_duties([duty], Stop())


if __name__ == "__main__":
    if "--unstored" in sys.argv:
        unstore()
    asyncio.run(main(sys.argv[1]))

"""A worker whose event loop is blocked by its one handler.

`--beats-in-loop` plants a defect: the beat of the lease waits for the loop.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from tests.faults.worker_process import Runtime

from opsplane.database import Doorbell, Pool
from opsplane.resilience import Duty, Retry, Stop, run_duties
from opsplane.tasks import OpenWorkshop, TaskContext, Worker, lease, task


@task("block", emit="none", retry=Retry(0))
async def block(ctx: TaskContext, params: dict[str, Any]) -> None:
    await ctx.pool.execute("insert into started values (%s, %s)", [ctx.id, ctx.claim_token])
    time.sleep(params["seconds"])
    async with ctx.pool.transaction() as tx:
        await tx.execute("insert into effect values (%s, %s)", [ctx.id, ctx.claim_token])
        await ctx.complete(tx)


def beat_in_loop() -> None:
    """The planted defect."""
    made: Any = vars(lease)["Lease"]
    keep, beat = made._keep, made._beat

    def kept(self: Any, session: Any, loop: Any) -> None:
        self._loop = loop
        keep(self, session, loop)

    def waiting(self: Any, session: Any) -> Any:
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._loop).result()
        return beat(self, session)

    made._keep, made._beat = kept, waiting


async def main(dsn: str) -> None:
    pool = await Pool.open(dsn)
    duty: Duty = Worker(pool, OpenWorkshop([block], {None: Runtime(pool)}), doorbell=Doorbell(dsn), slots=1)
    await run_duties([duty], Stop())


if __name__ == "__main__":
    if "--beats-in-loop" in sys.argv:
        beat_in_loop()
    asyncio.run(main(sys.argv[1]))

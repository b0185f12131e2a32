"""A worker to be killed or stopped: its one handler notes when it starts, sleeps, and completes with its effect.

`--unfenced` plants a defect: the claim token is not looked at when the task is completed, and a worker that was given
up does not notice.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from opsplane.clock import SYSTEM
from opsplane.database import Doorbell, Pool, sql
from opsplane.resilience import Duty, Retry, Stop, run_duties
from opsplane.tasks import OpenWorkshop, TaskContext, Worker, lease, settling, task, worker


class Runtime:
    """The operations database is the handlers' own here."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.objects, self.clock = pool, None, SYSTEM


@task("effect", emit="none", retry=Retry(20, "50ms..500ms"))
async def effect(ctx: TaskContext, params: dict[str, Any]) -> None:
    await ctx.pool.execute("insert into started values (%s, %s)", [ctx.id, ctx.claim_token])
    await asyncio.sleep(params["seconds"])
    async with ctx.pool.transaction() as tx:
        await tx.execute("insert into effect values (%s, %s)", [ctx.id, ctx.claim_token])
        await ctx.complete(tx)


def unfence() -> None:
    """The planted defect."""
    fences = ("and claim_token = any(%(tokens)s::bigint[])", "and told.token = gone.claim_token")
    assert all(fence in sql("opsplane.tasks", "finish_tasks") for fence in fences)

    def unfenced(package: str, name: str) -> Any:
        text = sql(package, name)
        for fence in fences:
            text = text.replace(fence, "")
        return text.replace("gone.claim_token as token", "told.token").replace(
            "from moved join gone", "from moved join told on told.id = moved.id join gone"
        )

    vars(settling)["sql"] = unfenced
    blind()


def blind() -> None:
    """Have the worker not notice that it was given up, so that nothing but the fence is left."""

    async def unaware(_shift: Any) -> None:
        return None

    vars(worker)["Shift"]._check = unaware
    vars(lease)["sql"] = lambda package, name: sql(package, name).replace("and gone_at is null", "")


async def main(dsn: str) -> None:
    pool = await Pool.open(dsn, max_size=20)
    duty: Duty = Worker(pool, OpenWorkshop([effect], {None: Runtime(pool)}), doorbell=Doorbell(dsn), slots=20)
    await run_duties([duty], Stop())


if __name__ == "__main__":
    if "--unfenced" in sys.argv:
        unfence()
    asyncio.run(main(sys.argv[1]))

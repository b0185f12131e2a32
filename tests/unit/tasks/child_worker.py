"""A worker in a process of its own for tests that kill or stop it: `hold` never ends."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

from opsplane.database import Doorbell, Pool
from opsplane.resilience import Duty, Stop, run_duties
from opsplane.tasks import OpenWorkshop, TaskContext, Worker, task
from opsplane.testing import HandlerRuntime


@task("hold", emit="none")
async def hold(_ctx: TaskContext, params: dict[str, Any]) -> None:
    if params.get("block"):
        time.sleep(3600)
    await asyncio.sleep(3600)


async def main(dsn: str) -> None:
    pool = await Pool.open(dsn)
    duty: Duty = Worker(pool, OpenWorkshop([hold], {None: HandlerRuntime(pool)}), doorbell=Doorbell(dsn))
    await run_duties([duty], Stop())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

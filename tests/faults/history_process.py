"""A worker of the history's tasks; it may be killed, stopped, misled about the time.

`--unfenced` plants the defect of `worker_process`: the claim token is not looked at when a task is completed. `--blind`
is no defect: the worker does not notice that it was given up, so every stale write is tried and meets the fence.
"""

from __future__ import annotations

import asyncio
import sys

from tests.faults.history_tasks import Shop
from tests.faults.worker_process import blind, unfence

from opsplane.database import Doorbell, Pool
from opsplane.events import Outbox
from opsplane.resilience import Duty, Stop, run_duties
from opsplane.tasks import Worker, task_schemas


async def main(dsn: str) -> None:
    outbox, doorbell = Outbox(task_schemas(), "operations"), Doorbell(dsn)
    pool = await Pool.open(dsn)
    duty: Duty = Worker(pool, Shop(dsn), outbox=outbox, doorbell=doorbell, slots=20, processes=1)
    await run_duties([duty], Stop())


if __name__ == "__main__":
    if "--blind" in sys.argv:
        blind()
    if "--unfenced" in sys.argv:
        unfence()
    asyncio.run(main(sys.argv[1]))

"""Tasks to be cancelled, in each isolation: they look whether they are wanted, only wait, or block.

Each notes its process when it begins, leaves a file where temporary files go, and notes that it cleaned up.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.worker_process import Runtime

from opsplane.database import Doorbell, Pool
from opsplane.events import Outbox
from opsplane.resilience import Duty, Retry, Stop, run_duties
from opsplane.tasks import TaskContext, TaskType, Worker, task, task_schemas

GRACE = 2.0
ISOLATIONS = ("async", "thread", "process")


async def handle(ctx: TaskContext, params: dict[str, Any]) -> None:
    place = Path(tempfile.mkdtemp(prefix="cancelled-"))
    try:
        await ctx.pool.execute("insert into began values (%s, %s, %s)", [ctx.id, os.getpid(), str(place)])
        while True:
            match params["how"]:
                case "looks":
                    ctx.check()
                    await asyncio.sleep(0.02)
                case "waits":
                    await asyncio.sleep(3600)
                case "blocks":
                    time.sleep(3600)
    finally:
        place.rmdir()
        await ctx.pool.execute("insert into cleaned values (%s)", [ctx.id])


def declared() -> list[TaskType]:
    options: dict[str, Any] = {"retry": Retry(0), "grace": GRACE}
    return [task(name, isolation=name, **options)(handle) for name in ISOLATIONS]  # type: ignore[arg-type]


@dataclass(frozen=True)
class Shop:
    """A workshop on the operations database; a thread or a process opens its own."""

    dsn: str

    def types(self) -> Sequence[TaskType]:
        return declared()

    @asynccontextmanager
    async def runtime(self, service: str | None) -> AsyncIterator[Runtime]:
        pool = await Pool.open(self.dsn, max_size=2)
        try:
            yield Runtime(pool)
        finally:
            await pool.close()


async def work(dsn: str) -> None:
    """Run a worker until its process is ended."""
    outbox = Outbox(task_schemas(), "operations")
    duty: Duty = Worker(await Pool.open(dsn), Shop(dsn), outbox=outbox, doorbell=Doorbell(dsn), processes=3)
    await run_duties([duty], Stop())


def main() -> None:
    """What `python -c` calls: the workshop must be in a module that a child can import."""
    asyncio.run(work(sys.argv[1]))

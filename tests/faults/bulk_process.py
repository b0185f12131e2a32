"""A runner of bulk actions to be killed in the middle of one.

`--apart` plants a defect: the place is kept in a transaction of its own, before the batch.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import msgspec

from opsplane.database import Connection, Doorbell, Pool
from opsplane.events import Outbox
from opsplane.resilience import Stop, run_duties
from opsplane.tasks import BulkRunner, task_schemas
from opsplane.tasks.bulk_actions import runner


def keep_apart(pool: Pool) -> None:
    """The planted defect."""
    find, act = runner.find_place, BulkRunner._act
    keep = runner.keep_place

    async def act_later(self: BulkRunner, tx: Connection, run: Any, ring: Any, ids: list[str]) -> Any:
        place = await find(tx, run.attempted.id)
        if ids:
            place = msgspec.structs.replace(
                place, after=ids[-1], walked=len(ids) < self._batch, cancelled=place.cancelled + len(ids)
            )
            async with pool.transaction() as other:
                await keep(other, run.attempted.id, run.attempted.attempt, run.began, place)
            await asyncio.sleep(0.02)
        return await act(self, tx, run, ring, ids)

    vars(runner)["BulkRunner"]._act = act_later


async def main(dsn: str, batch: int, *, apart: bool) -> None:
    pool = await Pool.open(dsn, max_size=5)
    if apart:
        keep_apart(pool)
    duty = BulkRunner(pool, Outbox(task_schemas(), "operations"), Doorbell(dsn), batch=batch)
    await run_duties([duty], Stop())


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), apart="--apart" in sys.argv))

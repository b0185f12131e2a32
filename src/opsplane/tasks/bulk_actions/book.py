"""Asking for bulk actions: what one would do, and starting it."""

from __future__ import annotations

import msgspec

from opsplane.database import Doorbell, Pool, after_commit, sql
from opsplane.tasks import channels
from opsplane.tasks.bulk_actions.matching import count_matching, sample_matching
from opsplane.tasks.bulk_actions.wanted import BULK, NAME, BulkAction, BulkParams
from opsplane.tasks.filter import TaskFilter
from opsplane.tasks.producer import Producer
from opsplane.tasks.rows import task_of
from opsplane.tasks.task import HIGHEST_PRIORITY, NewTask, Task

SAMPLE = 10


class BulkBook:
    """Bulk actions on the tasks of one operations database; the runner of the operations role does them."""

    def __init__(self, pool: Pool, doorbell: Doorbell) -> None:
        self._pool = pool
        self._producer = Producer(pool, [BULK], None, doorbell)
        self._doorbell = doorbell

    async def ask(
        self, action: BulkAction, wanted: TaskFilter, actor: str, *, everything: bool = False
    ) -> BulkParams:
        """The action as it may be started: on tasks created until now, with how many match.

        Raises `InvalidInput` for a filter that names nothing, unless `everything` is meant, and for an impossible status.
        """
        async with self._pool.connection() as connection:
            (row,) = await (await connection.execute(sql(__package__, "read_time"))).fetchall()
            asked = BulkParams(action=action, filter=wanted, actor=actor, before=row["now"])
            asked.require_sense(everything=everything)
            return msgspec.structs.replace(asked, matched=await count_matching(connection, asked))

    async def sample(self, asked: BulkParams) -> list[Task]:
        """The oldest of the tasks meant."""
        async with self._pool.connection() as connection:
            return [task_of(row) for row in await sample_matching(connection, asked, SAMPLE)]

    async def start(self, asked: BulkParams) -> Task:
        """The task that does it."""
        new = NewTask(task_type=NAME, params=asked, requested_by=asked.actor, priority=HIGHEST_PRIORITY)
        async with self._pool.transaction() as tx:
            task = await self._producer.create(tx, new)
            after_commit(tx, lambda: self._doorbell.ring(channels.BULK, ""))
        return task

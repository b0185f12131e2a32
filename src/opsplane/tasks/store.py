"""Reading tasks: one, many with filters and pages, their events and logs, queues and workers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, LiteralString

import msgspec
from psycopg.sql import Composed

from opsplane.database import Pool, ViewedPool, Viewer, sql
from opsplane.tasks.errors import TaskNotFound
from opsplane.tasks.filter import TaskFilter, with_filter
from opsplane.tasks.ids import is_id
from opsplane.tasks.rows import task_of
from opsplane.tasks.task import Task

COUNT_LIMIT = 10_000
RESULT_SHOWN = 2000


class TaskPage(msgspec.Struct, frozen=True):
    """Some of the tasks that match; `total` counts up to a limit, `next_cursor` asks for those after."""

    items: list[Task]
    total: int
    total_is_exact: bool
    next_cursor: str | None


class TaskEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a task."""

    at: datetime
    kind: str
    attempt: int | None = None
    actor: str | None = None
    detail: dict[str, Any] | None = None


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A finished step; `result` is left out when it is longer than 2,000 bytes."""

    name: str
    attempt: int
    started_at: datetime
    finished_at: datetime
    result_size: int
    result: Any = None


class FanOutState(msgspec.Struct, frozen=True, kw_only=True):
    """A fan-out of a task with its counts as of now; `joined_at` once the parent waits no longer."""

    name: str
    policy: str
    total: int
    completed: int
    failed: int
    cancelled: int
    callback_type: str | None
    callback_id: str | None
    created_at: datetime
    joined_at: datetime | None


class TaskLog(msgspec.Struct, frozen=True, kw_only=True):
    """A line a handler logged; `number` grows."""

    number: int
    at: datetime
    level: str
    message: str
    fields: dict[str, Any] | None = None


class QueueState(msgspec.Struct, frozen=True, kw_only=True):
    """A queue, its settings and what is in it; `held` of those pending wait for a place under a limit or for a turn."""

    name: str
    paused: bool
    draining: bool
    weight: float
    pending: int
    scheduled: int
    processing: int
    joining: int
    waiting: int
    held: int
    paused_by: str | None = None
    paused_at: datetime | None = None
    reason: str | None = None
    drained_by: str | None = None
    drained_at: datetime | None = None
    drain_reason: str | None = None
    fair: bool = False
    oldest: datetime | None = None

    @property
    def unfinished(self) -> int:
        """How many tasks are in it; none: it is drained."""
        return self.pending + self.scheduled + self.processing + self.joining + self.waiting


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """A worker as it last wrote about itself; `gone_at` once its lease was found free.

    A remote one has an `owner`, whose token it calls with, and a time until which it must have called.
    """

    number: int
    name: str
    host: str
    pid: int
    task_types: list[str]
    slots: int
    running: int
    beat: int
    beat_at: datetime
    started_at: datetime
    stopping: bool
    gone_at: datetime | None = None
    gone_reason: str | None = None
    owner: str | None = None
    lease_until: datetime | None = None


class TaskStore:
    """What can be read about tasks in the operations database."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    def seen_by(self, viewer: Viewer) -> TaskStore:
        """The same as row security shows it to a viewer: what it may not see is not there."""
        return TaskStore(ViewedPool(self.pool, viewer))

    async def get(self, task_id: str) -> Task:
        """The task; raises `TaskNotFound`."""
        row = await self.pool.fetch_one(sql(__package__, "get_task"), [task_id]) if is_id(task_id) else None
        if row is None:
            raise TaskNotFound(f"There is no task {task_id}.", task_id=task_id)
        return task_of(row)

    async def search(
        self, wanted: TaskFilter, *, limit: int = 50, offset: int = 0, cursor: str | None = None
    ) -> TaskPage:
        """Matching tasks, newest first: behind `offset`, or after the page that gave `cursor`."""
        parameters = {**wanted.parameters(), "below": cursor, "limit": limit, "offset": offset}
        rows = await self._matching("list_tasks", parameters)
        counted = await self._matching("count_tasks", {**parameters, "limit": COUNT_LIMIT + 1, "offset": 0})
        total = counted[0]["total"]
        items = [task_of(row) for row in rows]
        cursor = items[-1].id if len(items) == limit else None
        return TaskPage(items, min(total, COUNT_LIMIT), total <= COUNT_LIMIT, cursor)

    async def events(self, task_id: str) -> list[TaskEvent]:
        """What happened to the task, oldest first; raises `TaskNotFound`."""
        await self.get(task_id)
        return msgspec.convert(await self._read("list_events", {"id": task_id}), list[TaskEvent])

    async def steps(self, task_id: str) -> list[Step]:
        """The finished steps of the task in their order; raises `TaskNotFound`."""
        await self.get(task_id)
        found = await self._read("list_steps", {"id": task_id, "longest": RESULT_SHOWN})
        return msgspec.convert(found, list[Step])

    async def fan_outs(self, task_id: str) -> list[FanOutState]:
        """The task's fan-outs, oldest first; raises `TaskNotFound`."""
        await self.get(task_id)
        return msgspec.convert(await self._read("list_fan_outs", {"id": task_id}), list[FanOutState])

    async def logs(self, task_id: str, *, after: int = 0, limit: int = 500) -> list[TaskLog]:
        """Log lines with a higher number than `after`; raises `TaskNotFound`."""
        await self.get(task_id)
        return msgspec.convert(
            await self.pool.fetch(sql(__package__, "list_logs"), [task_id, after, limit]), list[TaskLog]
        )

    async def queues(self) -> list[QueueState]:
        """Every queue with a setting or an unfinished task."""
        return msgspec.convert(await self._read("list_queues", {}), list[QueueState])

    async def workers(self) -> list[WorkerState]:
        """Workers present, and those lost within the last hour."""
        return msgspec.convert(await self._read("list_workers", {}), list[WorkerState])

    async def _matching(self, name: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        return await self._rows(with_filter(sql(__package__, name)), parameters)

    async def _read(self, name: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        return await self._rows(sql(__package__, name), parameters)

    async def _rows(
        self, statement: LiteralString | Composed, parameters: dict[str, Any]
    ) -> list[dict[str, Any]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(statement, parameters or None, prepare=False)
            return await cursor.fetchall()

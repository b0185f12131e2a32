"""The task engine in one process on one database: create a task, have its handler run once, look at what became of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Self

from opsplane.app.composition import migrate_operations
from opsplane.clock import SYSTEM, Clock
from opsplane.database import Doorbell, Pool
from opsplane.errors import OpsplaneError
from opsplane.events import Outbox, Schemas
from opsplane.files import ObjectStore
from opsplane.resilience import Duty, Stop
from opsplane.tasks import (
    NewTask,
    OpenWorkshop,
    Producer,
    Task,
    TaskContext,
    TaskControl,
    TaskRuntime,
    TaskStore,
    TaskType,
    Worker,
    task_schemas,
)
from opsplane.tasks.explain import explain
from opsplane.testing.recorder import EventRecorder

PATIENCE = 20.0


class NotDone(OpsplaneError):
    """What a test waited for did not happen in time."""


@dataclass(frozen=True, slots=True)
class HandlerRuntime:
    """What handlers under test run with: `ctx.runtime`. Their database may be the engine's own."""

    pool: Pool
    clock: Clock = SYSTEM
    objects: ObjectStore | None = None
    outbox: Outbox | None = None


class TaskBench:
    """The engine and the tools of a test; make it with `async with TaskBench.open(dsn, types) as bench`.

    `events` are those published in its database, by handlers and by the engine; `store` and `control` read and change
    tasks as the API does.
    """

    def __init__(
        self,
        pool: Pool,
        doorbell: Doorbell,
        types: Iterable[TaskType] = (),
        *,
        schemas: Schemas | None = None,
    ) -> None:
        self.pool, self.doorbell = pool, doorbell
        self.types = {kind.name: kind for kind in types}
        self.outbox = Outbox(schemas or task_schemas(), "operations")
        self.store = TaskStore(pool)
        self.control = TaskControl(pool, self.outbox, doorbell)
        self.events = EventRecorder(pool)
        self.runtime: TaskRuntime = HandlerRuntime(pool, outbox=self.outbox)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        dsn: str,
        types: Iterable[TaskType] = (),
        *,
        schemas: Schemas | None = None,
        clock: Clock = SYSTEM,
        objects: ObjectStore | None = None,
    ) -> AsyncIterator[Self]:
        """A bench on the database, whose tables for tasks and events are made where they are missing.

        `schemas` are those of the events handlers publish (`opsplane.service.event_schemas([service])`), `clock` and
        `objects` what they find in `ctx.runtime`. Set `runtime` for handlers that need another one.
        """
        pool, doorbell = await Pool.open(dsn), Doorbell(dsn)
        try:
            await migrate_operations(pool)
            bench = cls(pool, doorbell, types, schemas=schemas)
            bench.runtime = HandlerRuntime(pool, clock, objects, bench.outbox)
            yield bench
        finally:
            await doorbell.close()
            await pool.close()

    def declare(self, *types: TaskType) -> None:
        """Have these types as well."""
        self.types.update((kind.name, kind) for kind in types)

    @property
    def producer(self) -> Producer:
        """Creates tasks of the declared types."""
        return Producer(self.pool, self.types.values(), self.outbox, self.doorbell)

    async def create(self, name: str, params: Any = None, **fields: Any) -> Task:
        """A new task of the type `name`; `fields` are those of `NewTask`."""
        return await self.producer.submit(NewTask(task_type=name, params=params or {}, **fields))

    async def run(self, name: str, params: Any = None, **fields: Any) -> Task:
        """A new task after one attempt: finished, or pending again with its error and its retry counted."""
        return await self.attempt((await self.create(name, params, **fields)).id)

    async def attempt(self, task_id: str, seconds: float = PATIENCE) -> Task:
        """The task after one attempt of its handler, in this event loop whatever its isolation.

        Due tasks of its type that were created before it are run as well. Raises `NotDone` with the cause why it waits.
        """
        stop = Stop()
        kind = self.types[(await self.store.get(task_id)).task_type]
        once = replace(kind, isolation="async", handler=_ending(kind, task_id, stop))
        workshop = OpenWorkshop([once], {kind.service: self.runtime})
        worker = Worker(self.pool, workshop, outbox=self.outbox, doorbell=self.doorbell, slots=1)
        async with self.running(worker):
            if not await stop.wait(seconds):
                causes = await explain(self.pool, task_id)
                raise NotDone(f"Task {task_id} was not run within {seconds:g} s: {causes[0].message}")
        return await self.store.get(task_id)

    @asynccontextmanager
    async def worker(self, **options: Any) -> AsyncIterator[Worker]:
        """A worker that runs tasks of all declared types while the block lasts; `options` are those of `Worker`."""
        workshop = options.pop("workshop", None) or OpenWorkshop(
            list(self.types.values()),
            dict.fromkeys({kind.service for kind in self.types.values()}, self.runtime),
        )
        worker = Worker(self.pool, workshop, outbox=self.outbox, doorbell=self.doorbell, **options)
        async with self.running(worker):
            yield worker

    @asynccontextmanager
    async def running(self, duty: Duty) -> AsyncIterator[None]:
        """Within the block the duty runs; what it raises is raised at the end."""
        stop = Stop()
        running = asyncio.create_task(duty.run(stop))
        try:
            yield
        finally:
            stop.set()
            await running

    async def finished(self, task_id: str, seconds: float = PATIENCE) -> Task:
        """The task as soon as it is finished, by whom ever. Raises `NotDone`."""

        async def done() -> Task | None:
            task = await self.store.get(task_id)
            return task if task.completed_at else None

        found: Task = await self.until(done, seconds)
        return found

    async def status(self, task_id: str, status: str) -> Task:
        """The task as soon as it is in this status. Raises `NotDone`."""

        async def there() -> Task | None:
            task = await self.store.get(task_id)
            return task if task.status == status else None

        found: Task = await self.until(there)
        return found

    async def until(self, question: Callable[[], Awaitable[Any]], seconds: float = PATIENCE) -> Any:
        """The first answer that is true. Raises `NotDone`."""
        deadline = time.monotonic() + seconds
        while not (answer := await question()):
            if time.monotonic() > deadline:
                raise NotDone(f"It did not happen within {seconds:g} s.")
            await asyncio.sleep(0.02)
        return answer


def _ending(kind: TaskType, task_id: str, stop: Stop) -> Callable[..., Awaitable[Any]]:
    """The type's handler, which stops the worker when it was run for this task: there is no second attempt."""

    async def handler(ctx: TaskContext, params: Any) -> Any:
        try:
            return await kind.handler(ctx, params)
        finally:
            if ctx.id == task_id:
                stop.set()

    return handler

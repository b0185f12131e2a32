from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from opsplane.clock import SYSTEM
from opsplane.database import Doorbell, Pool, migrate
from opsplane.events import Outbox
from opsplane.resilience import Stop
from opsplane.tasks import (
    NewTask,
    OpenWorkshop,
    Producer,
    Task,
    TaskControl,
    TaskStore,
    TaskType,
    Worker,
    task_schemas,
)


@dataclass
class Here:
    """A runtime on the operations database."""

    pool: Pool
    objects: Any = None
    clock: Any = SYSTEM


class Engine:
    """The task engine on one database: create, run workers, look."""

    def __init__(self, pool: Pool, doorbell: Doorbell) -> None:
        self.pool, self.doorbell = pool, doorbell
        self.outbox = Outbox(task_schemas(), "operations")
        self.store = TaskStore(pool)
        self.control = TaskControl(pool, self.outbox, doorbell)
        self.types: dict[str, TaskType] = {}

    def declare(self, *types: TaskType) -> None:
        self.types.update((kind.name, kind) for kind in types)

    @property
    def producer(self) -> Producer:
        return Producer(self.pool, self.types.values(), self.outbox, self.doorbell)

    async def create(self, name: str, params: Any = None, **fields: Any) -> Task:
        return await self.producer.submit(NewTask(task_type=name, params=params or {}, **fields))

    async def create_many(self, name: str, count: int, **fields: Any) -> list[str]:
        async with self.pool.transaction() as tx:
            return await self.producer.create_many(tx, [NewTask(task_type=name, **fields)] * count)

    @asynccontextmanager
    async def worker(self, **options: Any) -> AsyncIterator[Worker]:
        workshop = options.pop("workshop", None)
        if workshop is None:
            services = {kind.service for kind in self.types.values()}
            workshop = OpenWorkshop(list(self.types.values()), dict.fromkeys(services, Here(self.pool)))
        worker = Worker(self.pool, workshop, outbox=self.outbox, doorbell=self.doorbell, **options)
        async with self.running(worker):
            yield worker

    @asynccontextmanager
    async def running(self, duty: Any) -> AsyncIterator[None]:
        stop = Stop()
        running = asyncio.create_task(duty.run(stop))
        try:
            yield
        finally:
            stop.set()
            await running

    async def finished(self, task_id: str, seconds: float = 20.0) -> Task:
        async def done() -> Task | None:
            task = await self.store.get(task_id)
            return task if task.completed_at else None

        found: Task = await self.until(done, seconds)
        return found

    async def status(self, task_id: str, status: str) -> Task:
        async def there() -> Task | None:
            task = await self.store.get(task_id)
            return task if task.status == status else None

        found: Task = await self.until(there)
        return found

    async def until(self, question: Callable[[], Awaitable[Any]], seconds: float = 20.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (answer := await question()):
            assert time.monotonic() < deadline, "it did not happen in time"
            await asyncio.sleep(0.02)
        return answer

    async def count(self, table: str, where: str = "true") -> int:
        async with self.pool.connection() as connection:
            row = await (
                await connection.execute(f"select count(*) as n from {table} where {where}".encode())
            ).fetchone()
        return int(row["n"]) if row else 0


@pytest.fixture
async def engine(database: str) -> AsyncIterator[Engine]:
    """The engine on a migrated database."""
    pool = await Pool.open(database)
    for source in ("events", "tasks"):
        await migrate(pool, source, f"opsplane.{source}.migrations")
    doorbell = Doorbell(database)
    yield Engine(pool, doorbell)
    await doorbell.close()
    await pool.close()

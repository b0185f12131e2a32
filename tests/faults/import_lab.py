"""Imports run as tasks: the operations database is well, the service's own is the one under test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.faults.import_shop import ImportShop
from tests.faults.things import Verdict, judge, number, prepare
from tests.unit.tasks.conftest import Engine

from opsplane.database import Doorbell, Pool, migrate
from opsplane.tasks import Task, TaskControl


class ImportLab:
    """`thing.import` tasks, run by a worker while the lab is open."""

    def __init__(self, engine: Engine, shop: ImportShop) -> None:
        self.engine, self.shop = engine, shop
        self.control: TaskControl = engine.control
        self.store = shop.store()

    async def create(self, file: bytes, policy: str, **options: Any) -> Task:
        """A task whose file is there; it waits to be started."""
        task = await self.engine.create(
            "thing.import", {"policy": policy}, file_name="things.csv", file_size=len(file), **options
        )
        assert task.input_key is not None
        await self.store.put(task.input_key, file, "text/csv")
        return task

    async def start(self, task: Task) -> Task:
        return await self.control.uploaded(task.id)

    async def begin(self, file: bytes, policy: str, **options: Any) -> Task:
        return await self.start(await self.create(file, policy, **options))

    async def ended(self, task: Task) -> Task:
        return await self.engine.finished(task.id, seconds=120)

    async def again(self, task: Task) -> Task:
        """The task as it ended after it was retried by hand."""
        await self.control.retry(task.id, "ops")
        return await self.ended(task)

    async def verdict(self, task: Task, rows: int) -> Verdict:
        errors = await self.store.read(task.error_file.key) if task.error_file else None
        async with self._service() as pool:
            return await judge(pool, rows, errors)

    async def count(self, table: str) -> int:
        async with self._service() as pool:
            return await number(pool, f"select count(*) as n from {table}")

    @asynccontextmanager
    async def _service(self) -> AsyncIterator[Pool]:
        pool = await Pool.open(self.shop.dsn, timeout=30.0)
        try:
            yield pool
        finally:
            await pool.close()


@asynccontextmanager
async def import_lab(
    operations: str, service: str, place: Path, *, planted: bool = False
) -> AsyncIterator[ImportLab]:
    """A lab whose service's database is `service` and whose objects are in `place`."""
    shop = ImportShop(service, place, planted)
    async with AsyncExitStack() as stack:
        pool = await Pool.open(operations)
        stack.push_async_callback(pool.close)
        for source in ("events", "tasks"):
            await migrate(pool, source, f"opsplane.{source}.migrations")
        doorbell = Doorbell(operations)
        stack.push_async_callback(doorbell.close)
        engine = Engine(pool, doorbell)
        engine.declare(*shop.types())
        lab = ImportLab(engine, shop)
        async with lab._service() as own:
            await prepare(own)
        await stack.enter_async_context(engine.worker(workshop=shop))
        yield lab

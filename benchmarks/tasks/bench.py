"""The engine on one database, as the benchmark uses it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from opsplane.clock import SYSTEM, Clock
from opsplane.database import Doorbell, Pool
from opsplane.events import Outbox
from opsplane.resilience import Stop
from opsplane.tasks import (
    Dispatcher,
    LimitBook,
    NewTask,
    OpenWorkshop,
    Producer,
    TaskContext,
    Worker,
    task,
    task_schemas,
)

COUNT, BATCH, STARTS = 100_000, 5_000, 100


@task("quiet", emit="none")
async def quiet(_ctx: TaskContext, _params: dict[str, Any]) -> None:
    return None


@task("loud", emit="all")
async def loud(_ctx: TaskContext, _params: dict[str, Any]) -> None:
    return None


@dataclass
class Runtime:
    """What the handlers run with."""

    pool: Pool
    objects: None = None
    clock: Clock = SYSTEM


class Bench:
    """The engine on one database."""

    def __init__(self, pool: Pool, doorbell: Doorbell) -> None:
        self.pool, self.doorbell = pool, doorbell
        self.outbox = Outbox(task_schemas(), "operations")
        self.producer = Producer(pool, [quiet, loud], self.outbox, doorbell)

    async def create(self, name: str, count: int, tenants: int = 1) -> float:
        began = time.perf_counter()
        for first in range(0, count, BATCH):
            news = [
                NewTask(task_type=name, tenant=f"tenant {at % tenants}") for at in range(first, first + BATCH)
            ]
            async with self.pool.transaction() as tx:
                await self.producer.create_many(
                    tx, news if tenants > 1 else [NewTask(task_type=name)] * BATCH
                )
        return count / (time.perf_counter() - began)

    async def process(self, name: str, count: int) -> tuple[float, float]:
        """Tasks a second, and the worker's CPU µs a task."""
        await self.create(name, count)
        began, cpu = time.perf_counter(), time.process_time()
        async with self.worker():
            while await self.waiting():
                await asyncio.sleep(0.05)
            return count / (time.perf_counter() - began), (time.process_time() - cpu) / count * 1e6

    async def waiting(self) -> bool:
        return await self.pool.fetch_one("select 1 from task limit 1") is not None

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        workshop = OpenWorkshop([quiet, loud], {None: Runtime(self.pool)})
        stop = Stop()
        running = asyncio.create_task(
            Worker(self.pool, workshop, outbox=self.outbox, doorbell=self.doorbell).run(stop)
        )
        try:
            yield
        finally:
            stop.set()
            await running

    async def by_processes(self, count: int, workers: int) -> float:
        """Tasks a second of so many worker processes, from when the first task was done to the last."""
        await self.create("quiet", count)
        script = [sys.executable, "-m", "benchmarks.tasks.worker"]
        running = [
            subprocess.Popen(script, env={**os.environ, "BENCH_DSN": str.__str__(self.pool.dsn)})
            for _ in range(workers)
        ]
        try:
            while (left := await self.left()) == count:
                await asyncio.sleep(0.005)
            began = time.perf_counter()
            while await self.waiting():
                await asyncio.sleep(0.02)
            return left / (time.perf_counter() - began)
        finally:
            for process in running:
                process.terminate()
            for process in running:
                await asyncio.to_thread(process.wait)

    async def fair(self, count: int, tenants: int) -> float:
        """Tasks a second of a queue in which so many tenants take turns."""
        book, stop = LimitBook(self.pool, self.doorbell), Stop()
        await book.set_queue("default", fair=True)
        await self.create("quiet", count, tenants)
        dispatching = asyncio.create_task(Dispatcher(self.pool, self.doorbell).run(stop))
        began = time.perf_counter()
        try:
            async with self.worker():
                while await self.waiting():
                    await asyncio.sleep(0.02)
                return count / (time.perf_counter() - began)
        finally:
            stop.set()
            await dispatching
            await book.set_queue("default", fair=False)

    async def left(self) -> int:
        row = await self.pool.fetch_one("select count(*) as n from task")
        return int(row["n"]) if row else 0

    async def starts(self) -> list[float]:
        """Milliseconds from creation to start, at twenty a second."""
        async with self.worker():
            await asyncio.sleep(0.5)
            ids = []
            for _ in range(STARTS):
                ids.append((await self.producer.submit(NewTask(task_type="quiet"))).id)
                await asyncio.sleep(0.05)
            await asyncio.sleep(1.0)
        rows = await self.pool.fetch(
            "select extract(epoch from started_at - created_at) * 1000 as ms from task_history where id = any(%s::uuid[])",
            [ids],
        )
        return sorted(float(row["ms"]) for row in rows)

    async def fill_history(self, count: int) -> float:
        """Finish that many tasks in one statement; the seconds it took."""
        began = time.perf_counter()
        await self.pool.execute(
            """
            insert into task_history (id, created_at, started_at, completed_at, status, prio, emit, attempt, retry_count,
                max_retries, queue, task_type, tenant, params, processed_records, failed_records)
            select gen_random_uuid(), now(), now(), now(), 3, 5, 0, 1, 0, 3, 'default', 'quiet', 'default', '{}', 0, 0
            from generate_series(1, %s)
            """,
            [count],
        )
        await self.pool.execute("analyze task_history")
        return time.perf_counter() - began

    async def under_snapshot(self, seconds: float) -> list[float]:
        """Throughput of each round while a transaction holds a snapshot for so many seconds."""
        rounds = []
        async with await psycopg.AsyncConnection.connect(str.__str__(self.pool.dsn)) as holder:
            await holder.execute("set transaction isolation level repeatable read")
            await holder.execute(
                "set idle_in_transaction_session_timeout = 0"
            )  # the engine's ends it after ten minutes
            await holder.execute("select count(*) from task")
            began = time.monotonic()
            while time.monotonic() - began < seconds:
                rounds.append((await self.process("quiet", COUNT // 2))[0])
        return rounds

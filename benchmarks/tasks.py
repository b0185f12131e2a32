"""Tasks: created, processed, create→start, with much history and under a held snapshot; pgqueuer, Procrastinate, Celery.

One worker process, no-op handlers, fsync on. The worker and its PostgreSQL share the machine, as those of the peers do.
Figures of one run compare; those of two runs do not.
"""

from __future__ import annotations

import asyncio
import secrets
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import uvloop

from benchmarks.peers.environment import run_peer
from opsplane.clock import SYSTEM, Clock
from opsplane.database import Doorbell, Pool, migrate
from opsplane.embedded import Postgres, Valkey
from opsplane.embedded.ports import free_ports
from opsplane.events import Outbox
from opsplane.resilience import Stop
from opsplane.tasks import NewTask, OpenWorkshop, Producer, TaskContext, Worker, task, task_schemas
from opsplane.telemetry import configure_logging

COUNT, BATCH, PEER_COUNT, SLOW_PEER_COUNT, STARTS = 100_000, 5_000, 20_000, 3_000, 100
HISTORY = 10_000_000
SNAPSHOT_SECONDS = 30.0
GOALS = {
    "created_per_s": 60_000, "processed_per_s": 25_000, "processed_emit_all_per_s": 8_000,
    "snapshot_per_s": 20_000, "times_pgqueuer": 2.0, "times_procrastinate": 25.0, "times_celery": 25.0,
}  # fmt: skip
CEILINGS = {"start_p50_ms": 3.0, "start_p99_ms": 15.0, "history_cost_percent": 10.0}


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

    async def create(self, name: str, count: int) -> float:
        began = time.perf_counter()
        for _ in range(count // BATCH):
            async with self.pool.transaction() as tx:
                await self.producer.create_many(tx, [NewTask(task_type=name)] * BATCH)
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
            await holder.execute("select count(*) from task")
            began = time.monotonic()
            while time.monotonic() - began < seconds:
                rounds.append((await self.process("quiet", COUNT // 2))[0])
        return rounds


def run(history: int = HISTORY, snapshot: float = SNAPSHOT_SECONDS) -> dict[str, Any]:
    """Figures, ratios to the peers, and which goals are met."""
    configure_logging("bench", level="error")
    with tempfile.TemporaryDirectory(prefix="opsplane-bench-tasks-") as home:
        Path(home).chmod(0o755)
        return uvloop.run(_with_engines(Path(home), history, snapshot))


async def _with_engines(home: Path, history: int, snapshot: float) -> dict[str, Any]:
    postgres = Postgres(
        home / "postgres", port=free_ports(1)[0], password=secrets.token_urlsafe(8), log=home / "postgres.log"
    )
    users = {user: secrets.token_urlsafe(16) for user in ("events", "service", "admin")}
    valkey = Valkey(home / "valkey", port=free_ports(1)[0], passwords=users, log=home / "valkey.log")
    await asyncio.to_thread(postgres.start)
    try:
        await asyncio.to_thread(valkey.start)
        try:
            return await _measure(postgres, valkey, history, snapshot)
        finally:
            await asyncio.to_thread(valkey.stop)
    finally:
        await asyncio.to_thread(postgres.stop)


async def _measure(postgres: Postgres, valkey: Valkey, history: int, snapshot: float) -> dict[str, Any]:
    for name in ("ours", "pgqueuer", "procrastinate"):
        postgres.provision({name: name})
    pool = await Pool.open(postgres.dsn("ours", "ours", "ours"), timeout=600.0)
    doorbell = Doorbell(pool.dsn)
    try:
        for source in ("events", "tasks"):
            await migrate(pool, source, f"opsplane.{source}.migrations")
        figures = await _ours(Bench(pool, doorbell), history, snapshot)
    finally:
        await doorbell.close()
        await pool.close()
    peers = {
        "pgqueuer": await asyncio.to_thread(
            run_peer, "pgqueuer", postgres.dsn("pgqueuer", "pgqueuer", "pgqueuer"), str(PEER_COUNT)
        ),
        "procrastinate": await asyncio.to_thread(
            run_peer,
            "procrastinate",
            postgres.dsn("procrastinate", "procrastinate", "procrastinate"),
            str(SLOW_PEER_COUNT),
        ),
        "celery": await asyncio.to_thread(run_peer, "celery", valkey.url("admin"), str(SLOW_PEER_COUNT)),
    }
    for name, peer in peers.items():
        figures[f"times_{name}"] = figures["processed_per_s"] / peer["processed_per_s"]
    return {
        "figures": {name: round(value, 2) for name, value in figures.items()},
        "peers": {
            name: {key: round(value, 2) for key, value in peer.items()} for name, peer in peers.items()
        },
        "goals": GOALS,
        "ceilings": CEILINGS,
        "notes": [
            f"{COUNT} no-op tasks a round; history of {history:,} finished tasks; snapshot held for {snapshot:g} s.",
            f"pgqueuer processed {PEER_COUNT}, Procrastinate and Celery {SLOW_PEER_COUNT} tasks, one process each.",
        ],
    }


async def _ours(bench: Bench, history: int, snapshot: float) -> dict[str, float]:
    await bench.process("quiet", BATCH)  # warm
    created = [await bench.create("quiet", COUNT // 2) for _ in range(2)]
    await bench.process("quiet", BATCH)
    quiet_rounds = [await bench.process("quiet", COUNT) for _ in range(3)]
    loud_rounds = [await bench.process("loud", COUNT // 4) for _ in range(2)]
    starts = await bench.starts()
    held = await bench.under_snapshot(snapshot)
    before = statistics.median([(await bench.process("quiet", COUNT))[0] for _ in range(3)])
    await bench.fill_history(history)
    after = statistics.median([(await bench.process("quiet", COUNT))[0] for _ in range(3)])
    return {
        "created_per_s": statistics.median(created),
        "processed_per_s": statistics.median(rate for rate, _ in quiet_rounds),
        "cpu_us_per_task": statistics.median(cpu for _, cpu in quiet_rounds),
        "processed_emit_all_per_s": statistics.median(rate for rate, _ in loud_rounds),
        "start_p50_ms": statistics.median(starts),
        "start_p99_ms": starts[int(len(starts) * 0.99)],
        "snapshot_per_s": statistics.median(held),
        "snapshot_last_per_s": held[-1],
        "history_per_s": after,
        "history_cost_percent": max(0.0, (1 - after / before) * 100),
    }

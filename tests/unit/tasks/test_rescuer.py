from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.unit.tasks.conftest import Engine

from opsplane.tasks import Rescuer, TaskContext, task
from opsplane.tasks.rescuer import RESCUES

ROOT = Path(__file__).parents[3]


@task("hold", emit="none")
async def hold(_ctx: TaskContext, _params: dict[str, Any]) -> None:
    return None


@asynccontextmanager
async def child(engine: Engine) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A worker in a process of its own whose `hold` tasks never end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.tasks.child_worker", str.__str__(engine.pool.dsn)], cwd=ROOT
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def rescuer(engine: Engine, **options: Any) -> Rescuer:
    return Rescuer(engine.pool, engine.types.values(), doorbell=engine.doorbell, **{"grace": 0.0, **options})


async def test_tasks_of_a_killed_worker_are_run_by_another(engine: Engine) -> None:
    engine.declare(hold)
    created = await engine.create("hold")
    async with engine.running(rescuer(engine)):
        async with child(engine) as process:
            await engine.status(created.id, "processing")
            process.send_signal(signal.SIGKILL)
            process.wait()
            await engine.status(created.id, "pending")
        async with engine.worker():
            done = await engine.finished(created.id)
    assert (done.status, done.attempt, done.retry_count) == ("completed", 2, 0)
    kinds = [event.kind for event in await engine.store.events(created.id)]
    assert kinds == ["created", "started", "rescued", "started", "completed"]
    lost = (await engine.store.workers())[0]
    assert lost.gone_reason == "its lease is free"


async def test_a_stopped_worker_keeps_its_task_and_goes_on_with_it(engine: Engine) -> None:
    engine.declare(hold)
    created = await engine.create("hold")
    async with engine.running(rescuer(engine)), child(engine) as process:
        running = await engine.status(created.id, "processing")
        os.kill(process.pid, signal.SIGSTOP)
        await asyncio.sleep(3.0)
        os.kill(process.pid, signal.SIGCONT)
        await asyncio.sleep(1.5)
        still = await engine.store.get(created.id)
        assert (still.status, still.claim_token) == ("processing", running.claim_token)
        assert all(worker.gone_at is None for worker in await engine.store.workers())


async def test_a_worker_without_a_beat_for_too_long_is_given_up_and_its_write_refused(engine: Engine) -> None:
    engine.declare(hold)
    created = await engine.create("hold")
    async with engine.running(rescuer(engine, silence=1.5)), child(engine) as process:
        running = await engine.status(created.id, "processing")
        os.kill(process.pid, signal.SIGSTOP)
        await engine.status(created.id, "pending")
        with pytest.raises(Exception, match="not processing"):
            await engine.control.progress(created.id, token=running.claim_token, processed=1)
        os.kill(process.pid, signal.SIGCONT)
        again = await engine.status(created.id, "processing")  # it registers anew and claims again
        assert again.claim_token != running.claim_token
        assert again.worker != running.worker


async def test_a_worker_stopped_amid_a_write_does_not_hold_up_the_rescue_of_others(engine: Engine) -> None:
    engine.declare(hold)
    first, second = await engine.create_many("hold", 2)
    await engine.pool.execute("update task set status = 1, claim_token = 1, worker = 7, claimed_at = now()")
    async with engine.pool.transaction() as tx:
        await tx.execute("select from task where id = %s for update", [first])
        async with asyncio.timeout(5.0):
            assert await rescuer(engine).rescue(7, "no beat") == 1
    assert (await engine.store.get(second)).status == "pending"


async def test_a_task_that_loses_its_worker_again_and_again_fails(engine: Engine) -> None:
    engine.declare(hold)
    created = await engine.create("hold")
    async with engine.running(rescuer(engine)):
        for _ in range(RESCUES):
            async with child(engine) as process:
                await engine.status(created.id, "processing")
                process.send_signal(signal.SIGKILL)
                process.wait()
            await engine.until(lambda: gone(engine, created.id))
        done = await engine.finished(created.id)
    assert (done.status, done.error_kind, done.attempt) == ("failed", "WorkerLost", RESCUES)


async def gone(engine: Engine, task_id: str) -> bool:
    return (await engine.store.get(task_id)).status != "processing"


async def test_a_hung_worker_has_its_overdue_task_taken_away(engine: Engine, monkeypatch: Any) -> None:
    monkeypatch.setattr("opsplane.tasks.rescuer.MARGIN", 0.5)
    engine.declare(hold)
    created = await engine.create("hold", {"block": True}, timeout_seconds=0.5, max_retries=0)
    async with engine.running(rescuer(engine)), child(engine):
        done = await engine.finished(created.id)
    assert (done.status, done.error_kind) == ("failed", "TimedOut")


async def test_nothing_is_rescued_while_workers_may_take_their_leases_again(engine: Engine) -> None:
    """The server was gone: sessions died with it, though every worker lives. Control: without grace it is taken."""
    engine.declare(hold)
    created = await engine.create("hold")
    async with child(engine):
        running = await engine.status(created.id, "processing")
        one = rescuer(engine, grace=3.0)
        one._interrupted = True  # as after a lost connection
        async with engine.running(one):
            await engine.pool.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'opsplane task lease'"
            )
            began = time.monotonic()
            while time.monotonic() - began < 5:
                assert (await engine.store.get(created.id)).claim_token == running.claim_token
                await asyncio.sleep(0.2)

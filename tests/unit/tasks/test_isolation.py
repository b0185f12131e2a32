from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
from asyncio import StreamWriter
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.tasks.conftest import Engine

from opsplane.database import Pool
from opsplane.resilience import Retry
from opsplane.tasks import Reject, TaskContext, TaskType, task
from opsplane.tasks.context import Claim
from opsplane.tasks.executors.wire import Job
from opsplane.testing import HandlerRuntime

ISOLATIONS = ["async", "thread", "process"]


async def handle(ctx: TaskContext, params: dict[str, Any]) -> dict[str, Any]:
    match params["do"]:
        case "answer":
            ctx.progress(done=2, total=2, failed=1, message="both")
            ctx.log("info", "answering", n=1)
            row = await ctx.pool.fetch_one("select 1 as one")
            return {"pid": os.getpid(), "thread": threading.get_ident(), "one": row and row["one"]}
        case "fail":
            raise ValueError("bad luck")
        case "reject":
            raise Reject("not this one")
        case "wait":
            while True:
                ctx.check()
                await asyncio.sleep(0.02)
        case "block":
            time.sleep(3600)
        case "litter":
            return {"place": tempfile.mkdtemp()}
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "complete":
            async with ctx.pool.transaction() as tx:
                await tx.execute("insert into effect values (%s)", [ctx.id])
                await ctx.complete(tx)
    return {}


def declared() -> list[TaskType]:
    options: dict[str, Any] = {"retry": Retry(0), "grace": "200ms"}
    return [task(name, isolation=name, **options)(handle) for name in ISOLATIONS]  # type: ignore[arg-type]


@dataclass(frozen=True)
class Shop:
    """A workshop that can be pickled."""

    dsn: str

    def types(self) -> Sequence[TaskType]:
        return declared()

    @asynccontextmanager
    async def runtime(self, service: str | None) -> AsyncIterator[HandlerRuntime]:
        pool = await Pool.open(self.dsn, max_size=2)
        try:
            yield HandlerRuntime(pool)
        finally:
            await pool.close()


@pytest.fixture
def shop(engine: Engine) -> Shop:
    engine.declare(*declared())
    return Shop(str.__str__(engine.pool.dsn))


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_result_progress_and_log_come_back(engine: Engine, shop: Shop, isolation: str) -> None:
    async with engine.worker(workshop=shop):
        created = await engine.create(isolation, {"do": "answer"})
        done = await engine.finished(created.id)
        assert done.status == "completed", done.error_message
        assert await engine.until(lambda: engine.store.logs(created.id))
    assert done.result is not None
    assert (done.result["pid"] == os.getpid()) is (isolation != "process")
    assert (done.result["thread"] == threading.get_ident()) is (isolation == "async")
    assert (done.processed_records, done.failed_records, done.message) == (2, 1, "both")


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_errors_keep_their_kind(engine: Engine, shop: Shop, isolation: str) -> None:
    async with engine.worker(workshop=shop):
        failed = await engine.finished((await engine.create(isolation, {"do": "fail"})).id)
        refused = await engine.finished((await engine.create(isolation, {"do": "reject"})).id)
    assert (failed.error_kind, failed.error_message) == ("ValueError", "bad luck")
    assert (refused.error_kind, refused.error_message) == ("Reject", "not this one")


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_cancel_ends_a_handler_that_looks(engine: Engine, shop: Shop, isolation: str) -> None:
    async with engine.worker(workshop=shop):
        created = await engine.create(isolation, {"do": "wait"})
        await engine.status(created.id, "processing")
        await asyncio.sleep(0.5)
        await engine.control.cancel(created.id, "alice")
        assert (await engine.finished(created.id)).status == "cancelled"


async def test_a_process_that_does_not_look_is_killed_after_its_grace(engine: Engine, shop: Shop) -> None:
    async with engine.worker(workshop=shop):
        created = await engine.create("process", {"do": "block"})
        await engine.status(created.id, "processing")
        await asyncio.sleep(1.0)
        await engine.control.cancel(created.id, "alice")
        assert (await engine.finished(created.id)).status == "cancelled"


def job_of(shop: Shop, do: str) -> bytes:
    facts: dict[str, Any] = {"token": 1, "attempt": 1, "retry_count": 0, "max_retries": 0, "worker": 1}
    times = dict.fromkeys(("created_at", "claimed_at", "run_at", "due_at"), datetime.now(UTC))
    claim = Claim(
        id="1", task_type="process", params=json.dumps({"do": do}), queue="q", prio=1, emit=0, tenant="t", timeout=9.0, **facts, **times
    )  # fmt: skip
    job = pickle.dumps(Job(shop, shop.dsn, None, "process", claim))
    return len(job).to_bytes(4, "big") + job


async def child_in(place: Path) -> tuple[Process, StreamWriter]:
    """The process of a handler, with a file of its own, and the worker's end of its pipe."""
    place.mkdir()
    (place / "half").write_text("a file")
    command = [sys.executable, "-m", "opsplane.tasks.executors.child", str(place)]
    child = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert child.stdin is not None
    return child, child.stdin


async def test_a_process_leaves_by_itself_when_it_has_answered(shop: Shop, tmp_path: Path) -> None:
    child, pipe = await child_in(tmp_path / "place")
    pipe.write(job_of(shop, "reject"))  # and it stays open
    assert await asyncio.wait_for(child.wait(), 20) == 0


@pytest.mark.parametrize("told", [1.0, 0.5, 0.0], ids=["amid its work", "amid its job", "before its job"])
async def test_a_process_whose_worker_is_gone_leaves_with_its_files(
    shop: Shop, tmp_path: Path, told: float
) -> None:
    child, pipe = await child_in(tmp_path / "place")
    job = job_of(shop, "block")
    pipe.write(job[: int(len(job) * told)])
    await asyncio.sleep(1.0)
    assert child.returncode is None
    pipe.close()
    assert await asyncio.wait_for(child.wait(), 20) == 1
    assert not (tmp_path / "place").exists()


async def test_the_temporary_files_of_a_process_end_with_it(engine: Engine, shop: Shop) -> None:
    async with engine.worker(workshop=shop):
        done = await engine.finished((await engine.create("process", {"do": "litter"})).id)
    assert done.result is not None
    assert not Path(done.result["place"]).exists()


async def test_a_process_that_dies_fails_its_task_alone(engine: Engine, shop: Shop) -> None:
    async with engine.worker(workshop=shop):
        died = await engine.finished((await engine.create("process", {"do": "die"})).id)
        well = await engine.finished((await engine.create("process", {"do": "answer"})).id)
    assert (died.status, died.error_kind) == ("failed", "ProcessDied")
    assert well.status == "completed"


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_completion_in_the_handlers_transaction(engine: Engine, shop: Shop, isolation: str) -> None:
    await engine.pool.execute("create table effect (task_id text)")
    async with engine.worker(workshop=shop):
        done = await engine.finished((await engine.create(isolation, {"do": "complete"})).id)
    assert done.status == "completed"
    assert await engine.count("effect") == 1
    topics = await engine.pool.fetch(
        "select topic from outbox where topic like '%%started' or topic like '%%completed' order by id"
    )
    assert [row["topic"] for row in topics] == ["operations.task.started", "operations.task.completed"]

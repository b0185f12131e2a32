from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from tests.unit.tasks.conftest import Engine

from opsplane.resilience import Retry
from opsplane.tasks import Cancelled, NewTask, Reject, ResultFile, Snooze, TaskContext, task


class Add(msgspec.Struct):
    left: int
    right: int


@task("sum", emit="all")
async def add(ctx: TaskContext, params: Add) -> dict[str, int]:
    ctx.progress(done=1, total=1, message="added")
    ctx.log("info", "adding", left=params.left)
    return {"sum": params.left + params.right}


@task("nothing", emit="none")
async def nothing(_ctx: TaskContext, _params: dict[str, Any]) -> None:
    return None


async def test_a_task_runs_and_its_result_progress_log_and_events_are_kept(engine: Engine) -> None:
    engine.declare(add)
    async with engine.worker():
        created = await engine.create("sum", {"left": 2, "right": 3})
        done = await engine.finished(created.id)
        assert (done.status, done.result, done.progress_percentage) == ("completed", {"sum": 5}, 100.0)
        assert (done.processed_records, done.total_records, done.message) == (1, 1, "added")
        assert done.started_at is not None
        assert done.started_at >= created.created_at
        assert await engine.until(lambda: engine.store.logs(created.id))
    assert [event.kind for event in await engine.store.events(created.id)] == [
        "created",
        "started",
        "completed",
    ]
    published = await engine.pool.fetch("select topic from outbox order by id")
    assert [row["topic"] for row in published] == [
        "operations.task.created",
        "operations.task.started",
        "operations.task.completed",
    ]


async def test_thousands_of_tasks_each_run_once_and_leave_the_live_table_empty(engine: Engine) -> None:
    runs: dict[str, int] = {}

    @task("count", emit="none")
    async def count(ctx: TaskContext, _params: dict[str, Any]) -> None:
        runs[ctx.id] = runs.get(ctx.id, 0) + 1

    engine.declare(count)
    ids = await engine.create_many("count", 3000)
    async with engine.worker(), engine.worker():
        await engine.until(lambda: engine_empty(engine))
    assert runs == dict.fromkeys(ids, 1)
    assert await engine.count("task_history", "status = 3") == 3000


async def engine_empty(engine: Engine) -> bool:
    return await engine.count("task") == 0


async def test_an_error_is_tried_again_and_then_fails_with_its_kind_and_message(engine: Engine) -> None:
    @task("broken", retry=Retry(2, "10ms"))
    async def broken(_ctx: TaskContext, _params: dict[str, Any]) -> None:
        raise ValueError("no luck")

    engine.declare(broken)
    async with engine.worker():
        created = await engine.create("broken")
        done = await engine.finished(created.id)
    assert (done.status, done.retry_count, done.attempt) == ("failed", 2, 3)
    assert (done.error_kind, done.error_message) == ("ValueError", "no luck")
    kinds = [event.kind for event in await engine.store.events(created.id)]
    assert kinds == ["created", *["started", "attempt_failed"] * 2, "started", "failed"]


async def test_retries_may_differ_by_error_and_reject_has_none(engine: Engine) -> None:
    @task("strict", retry=Retry(5, "10ms"), errors={KeyError: Retry(0)})
    async def strict(_ctx: TaskContext, params: dict[str, Any]) -> None:
        raise KeyError("gone") if params.get("key") else Reject("never")

    engine.declare(strict)
    async with engine.worker():
        one = await engine.finished((await engine.create("strict", {"key": True})).id)
        two = await engine.finished((await engine.create("strict")).id)
    assert (one.status, one.attempt, one.error_kind) == ("failed", 1, "KeyError")
    assert (two.status, two.attempt, two.error_message) == ("failed", 1, "never")


async def test_a_snoozed_task_runs_again_without_counting_as_a_retry(engine: Engine) -> None:
    @task("patient")
    async def patient(ctx: TaskContext, _params: dict[str, Any]) -> dict[str, int]:
        if ctx.attempt == 1:
            raise Snooze(0.01)
        return {"attempt": ctx.attempt}

    engine.declare(patient)
    async with engine.worker():
        done = await engine.finished((await engine.create("patient")).id)
    assert (done.result, done.retry_count) == ({"attempt": 2}, 0)


async def test_a_running_task_is_cancelled_within_the_second_it_looks(engine: Engine) -> None:
    cleaned = asyncio.Event()

    @task("long")
    async def long(ctx: TaskContext, _params: dict[str, Any]) -> None:
        try:
            while True:
                ctx.check()
                await asyncio.sleep(0.02)
        except Cancelled:
            cleaned.set()
            raise

    engine.declare(long)
    async with engine.worker():
        created = await engine.create("long")
        await engine.status(created.id, "processing")
        await engine.control.cancel(created.id, "alice")
        done = await engine.finished(created.id)
    assert done.status == "cancelled"
    assert cleaned.is_set()


async def test_a_deaf_handler_is_ended_by_force_after_its_grace(engine: Engine) -> None:
    @task("deaf", grace="100ms")
    async def deaf(_ctx: TaskContext, _params: dict[str, Any]) -> None:
        await asyncio.sleep(3600)

    engine.declare(deaf)
    async with engine.worker():
        created = await engine.create("deaf")
        await engine.status(created.id, "processing")
        await engine.control.cancel(created.id, "alice")
        assert (await engine.finished(created.id)).status == "cancelled"


async def test_an_attempt_beyond_its_timeout_is_stopped_and_counted_as_an_error(engine: Engine) -> None:
    @task("slow", timeout=0.2, retry=Retry(0))
    async def slow(_ctx: TaskContext, _params: dict[str, Any]) -> None:
        await asyncio.sleep(3600)

    engine.declare(slow)
    async with engine.worker():
        done = await engine.finished((await engine.create("slow")).id)
    assert (done.status, done.error_kind) == ("failed", "TimedOut")


async def test_a_stopping_worker_hands_back_what_does_not_end(engine: Engine, monkeypatch: Any) -> None:
    monkeypatch.setattr("opsplane.tasks.worker.STOP_GRACE", 0.1)

    @task("endless")
    async def endless(_ctx: TaskContext, _params: dict[str, Any]) -> None:
        await asyncio.sleep(3600)

    engine.declare(endless)
    async with engine.worker():
        created = await engine.create("endless")
        await engine.status(created.id, "processing")
    back = await engine.store.get(created.id)
    assert (back.status, back.retry_count) == ("pending", 0)
    assert [worker.gone_reason for worker in await engine.store.workers()] == ["stopped"]


async def test_a_paused_queue_is_not_claimed_from_until_it_is_resumed(engine: Engine) -> None:
    engine.declare(nothing)
    async with engine.worker():
        await engine.control.pause("default", "alice", "test")
        await asyncio.sleep(1.5)
        created = await engine.create("nothing")
        await asyncio.sleep(1.5)
        assert (await engine.store.get(created.id)).status == "pending"
        await engine.control.resume("default")
        assert (await engine.finished(created.id)).status == "completed"


async def test_a_worker_that_starts_claims_nothing_from_a_paused_queue(engine: Engine) -> None:
    engine.declare(nothing)
    await engine.control.pause("default", "alice", "test")
    created = await engine.create("nothing")
    async with engine.worker():
        await asyncio.sleep(1.0)
    assert (await engine.store.get(created.id)).status == "pending"


async def test_a_scheduled_task_waits_for_its_time(engine: Engine) -> None:
    engine.declare(nothing)
    due = datetime.now(UTC) + timedelta(seconds=1.0)
    async with engine.worker():
        created = await engine.create("nothing", scheduled_at=due)
        assert created.status == "scheduled"
        done = await engine.finished(created.id)
    assert done.started_at is not None
    assert done.started_at >= due


async def test_higher_priority_goes_first(engine: Engine) -> None:
    order: list[int] = []

    @task("ordered", emit="none")
    async def ordered(_ctx: TaskContext, params: dict[str, Any]) -> None:
        order.append(params["p"])

    engine.declare(ordered)
    for priority in (1, 9, 4):
        await engine.create("ordered", {"p": priority}, priority=priority)
    async with engine.worker(slots=1):
        await engine.until(lambda: engine_empty(engine))
    assert order == [9, 4, 1]


async def test_effects_and_completion_are_committed_together(engine: Engine) -> None:
    await engine.pool.execute("create table effect (task_id text)")

    @task("effective")
    async def effective(ctx: TaskContext, params: dict[str, Any]) -> None:
        async with ctx.pool.transaction() as tx:
            await tx.execute("insert into effect values (%s)", [ctx.id])
            if params.get("stolen"):
                await engine.pool.execute("update task set claim_token = nextval('task_claim_token')")
            await ctx.complete(tx)

    engine.declare(effective)
    async with engine.worker():
        done = await engine.finished((await engine.create("effective")).id)
        assert done.status == "completed"
        assert await engine.count("effect") == 1
        await engine.create("effective", {"stolen": True})
        await asyncio.sleep(1.0)
    assert await engine.count("effect") == 1  # the stale attempt's effect was rolled back with its completion


async def test_a_result_that_cannot_be_stored_fails_that_task_alone(engine: Engine) -> None:
    @task("odd")
    async def odd(_ctx: TaskContext, params: dict[str, Any]) -> Any:
        if params["n"] == 3:
            return ResultFile("key", "name", rows=2**80)
        return {"text": "zero \x00 byte"}

    engine.declare(odd)
    async with engine.worker():
        tasks = [await engine.create("odd", {"n": n}) for n in range(6)]
        done = [await engine.finished(one.id) for one in tasks]
    assert [one.status for one in done] == ["completed"] * 6


async def test_tasks_created_while_another_transaction_is_open_are_not_stranded(engine: Engine) -> None:
    engine.declare(nothing)
    async with engine.worker():
        async with engine.pool.transaction() as slow:
            early = await engine.producer.create(slow, NewTask(task_type="nothing"))
            for _ in range(20):
                await engine.create_many("nothing", 50)
                await asyncio.sleep(0.03)
            await engine.until(lambda: engine_empty(engine))
        began = time.monotonic()
        await engine.finished(early.id)
        assert time.monotonic() - began < 20

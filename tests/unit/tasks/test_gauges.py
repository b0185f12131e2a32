from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.unit.tasks.conftest import Engine

from opsplane.database import Leader, sql
from opsplane.resilience import Retry, Stop
from opsplane.tasks import TaskContext, TaskGauges, task
from opsplane.tasks.limits import LimitBook, NewLimit
from opsplane.telemetry import render_metrics

NAMES = ("tasks_active", "tasks_pending", "task_success_ratio")


@task("gauged", emit="none", retry=Retry(0))
async def gauged(ctx: TaskContext, params: dict[str, Any]) -> None:
    if params.get("fails"):
        raise ValueError("as told")


@task("slow", emit="none", queue="slow")
async def slow(ctx: TaskContext, _params: dict[str, Any]) -> None:
    await ctx.runtime.clock.sleep(60)


def told() -> dict[str, float]:
    """What a scrape sees."""
    families = text_string_to_metric_families(render_metrics().decode())
    samples = [sample for family in families if family.name in NAMES for sample in family.samples]
    return {" ".join([one.name, *one.labels.values()]): one.value for one in samples}


async def test_pending_and_running_tasks_are_counted_by_queue(engine: Engine) -> None:
    engine.declare(slow)
    async with engine.worker(slots=2):
        ids = [(await engine.create("slow")).id for _ in range(2)]
        for task_id in ids:
            await engine.status(task_id, "processing")
        engine.declare(gauged)
        await engine.create_many("gauged", 7, queue="b")
        await engine.create("gauged", queue="b", file_name="a.csv")  # waits for its file, not for its turn
        await LimitBook(engine.pool, engine.doorbell).put(
            NewLimit(kind="queue", name="c", concurrency=1), "sam"
        )
        await engine.create_many("gauged", 3, queue="c")
        gauges = TaskGauges(engine.pool)
        await gauges.look()
        found = told()
        assert found["tasks_active slow"] == 2
        assert (found["tasks_pending b"], found["tasks_pending c"], found["tasks_active b"]) == (7, 3, 0)
        assert math.isnan(found["task_success_ratio"])
        await engine.pool.execute("delete from task where queue = 'b'")
        await gauges.look()
        assert told()["tasks_pending b"] == 0


async def test_the_ratio_is_of_the_latest_that_completed_or_failed(engine: Engine) -> None:
    engine.declare(gauged)
    async with engine.worker():
        made = [await engine.create("gauged", {"fails": number == 0}) for number in range(4)]
        for one in made:
            await engine.finished(one.id)
        cancelled = await engine.create("gauged", file_name="a.csv")
        await engine.control.cancel(cancelled.id, "sam")
    await TaskGauges(engine.pool).look()
    assert told()["task_success_ratio"] == 0.75


async def test_only_who_leads_tells_and_nobody_afterwards(engine: Engine) -> None:
    engine.declare(gauged)
    await engine.create_many("gauged", 5, queue="led")
    stop = Stop()
    async with Leader(engine.pool.dsn, TaskGauges.name).hold(stop) as leading:
        assert leading
        async with engine.running(TaskGauges(engine.pool)):
            await asyncio.sleep(0.3)
            assert "tasks_pending led" not in told()
    async with engine.running(TaskGauges(engine.pool)):

        async def counted() -> bool:
            return told().get("tasks_pending led") == 5

        await engine.until(counted)
    assert "tasks_pending led" not in told()
    assert math.isnan(told()["task_success_ratio"])


@pytest.mark.parametrize("statement", ["count_by_queue", "latest_ratio"])
async def test_what_is_read_is_read_by_indexes(engine: Engine, statement: str) -> None:
    engine.declare(gauged)
    await engine.create_many("gauged", 20_000)
    await engine.pool.execute("vacuum analyze task")
    text = sql("opsplane.tasks", statement).replace("%(limit)s", "1000")
    plan = "\n".join(
        row["QUERY PLAN"]
        for row in await engine.pool.fetch(f"explain {text}".encode())  # type: ignore[arg-type]
    )
    assert "Seq Scan" not in plan.replace("Seq Scan on task_history", ""), plan

"""Why a task waits: each cause brought about on the real engine, one after another, and told by its name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.tasks.conftest import Engine

from opsplane.resilience import Retry
from opsplane.tasks import Joiner, NewTask, Snooze, Task, TaskContext, TaskNotFound, task
from opsplane.tasks.explain import Cause, explain
from opsplane.tasks.limits import LimitBook, NewLimit


@task("demo.hold", service="demo", retry=Retry(3, "1h..1h"))
async def hold(ctx: TaskContext, params: dict[str, Any]) -> None:
    """Does what its parameters say."""
    match params.get("do"):
        case "fail":
            raise RuntimeError("no luck")
        case "snooze":
            raise Snooze(3600.0)
        case "hold":
            await asyncio.sleep(60)
        case "fan out":
            await ctx.fan_out([NewTask(task_type="demo.hold", params={"do": "snooze"})] * 3)


Story = Callable[[Engine], Awaitable[Task]]


async def _left(engine: Engine, status: str, **params: Any) -> Task:
    """A task a worker has run, as it is once it looks like that."""
    created = await engine.create("demo.hold", params)
    async with engine.worker(slots=1):

        async def settled() -> Any:
            row = await engine.pool.fetch_one(
                "select status, attempt from any_task where id = %s", [created.id]
            )
            return row and row["attempt"] and str(row["status"]) == status

        await engine.until(settled)
    return created


async def finished(engine: Engine) -> Task:
    return await _left(engine, "3")


async def failed(engine: Engine) -> Task:
    created = await engine.create("demo.hold", {"do": "fail"}, max_retries=0)
    async with engine.worker():
        return await engine.finished(created.id)


async def backoff(engine: Engine) -> Task:
    return await _left(engine, "0", do="fail")


async def snoozed(engine: Engine) -> Task:
    return await _left(engine, "0", do="snooze")


async def upload(engine: Engine) -> Task:
    return await engine.create("demo.hold", file_name="a.csv")


async def scheduled(engine: Engine) -> Task:
    return await engine.create("demo.hold", scheduled_at=datetime.now(UTC) + timedelta(hours=1))


async def paused(engine: Engine) -> Task:
    await engine.control.pause("demo", "olga", "stocktaking")
    return await engine.create("demo.hold")


async def nobody(engine: Engine) -> Task:
    return await engine.create("demo.hold")


async def other_worker(engine: Engine) -> Task:
    await _worker(engine, "{other.type}", slots=4)
    return await engine.create("demo.hold")


async def behind(engine: Engine) -> Task:
    await _worker(engine, "{demo.hold}", slots=4, running=4)
    await engine.create_many("demo.hold", 2)
    await engine.create_many("demo.hold", 1, priority=9)
    await engine.create_many("demo.hold", 1, priority=0)
    return await engine.create("demo.hold")


async def busy(engine: Engine) -> Task:
    await _worker(engine, "{demo.hold}", slots=4, running=4)
    return await engine.create("demo.hold")


async def soon(engine: Engine) -> Task:
    await _worker(engine, "{demo.hold}", slots=4, running=1)
    return await engine.create("demo.hold")


async def limited(engine: Engine) -> Task:
    await LimitBook(engine.pool).put(NewLimit(kind="type", name="demo.hold", concurrency=1), "olga")
    await _worker(engine, "{demo.hold}", slots=4, running=1)
    await engine.create_many("demo.hold", 2)
    await engine.pool.execute("update task set status = 1 where id = (select min(id::text)::uuid from task)")
    return await engine.create("demo.hold")


async def paced(engine: Engine) -> Task:
    await LimitBook(engine.pool).put(NewLimit(kind="tenant", name="*", rate=5, per_seconds=60), "olga")
    await _worker(engine, "{demo.hold}", slots=4)
    return await engine.create("demo.hold")


async def turn(engine: Engine) -> Task:
    await LimitBook(engine.pool).set_queue("demo", fair=True)
    await _worker(engine, "{demo.hold}", slots=4)
    await engine.create_many("demo.hold", 2, tenant="other")
    await engine.create_many("demo.hold", 1)
    return await engine.create("demo.hold")


async def _worker(engine: Engine, types: str, slots: int, running: int = 0) -> None:
    await engine.pool.execute(
        "insert into worker (name, host, pid, task_types, slots, running) values ('w', 'here', 7, %s, %s, %s)",
        [types, slots, running],
    )


CAUSES: list[tuple[Story, list[str], str]] = [
    (finished, ["finished"], "It is completed."),
    (failed, ["finished"], "It is failed: no luck"),
    (backoff, ["backoff", "no_worker"], "It failed and is tried again (1 of 3 retries): no luck"),
    (snoozed, ["snoozed", "no_worker"], "Its handler put it off."),
    (upload, ["upload", "no_worker"], "Its file has not been uploaded."),
    (scheduled, ["scheduled", "no_worker"], "It was given a time to start at."),
    (paused, ["paused", "no_worker"], "The queue demo is paused by olga: stocktaking"),
    (
        nobody,
        ["no_worker"],
        "No worker that is there runs demo.hold tasks; that of a remote type is started where it lives.",
    ),
    (
        other_worker,
        ["no_worker"],
        "No worker that is there runs demo.hold tasks; that of a remote type is started where it lives.",
    ),
    (behind, ["behind"], "3 tasks of the queue demo come first; 4 of 4 places of its 1 workers are taken."),
    (busy, ["busy"], "It is the next of its queue; 4 of 4 places of its 1 workers are taken."),
    (
        limited,
        ["limit"],
        "1 of 1 places of the type demo.hold are taken; 1 tasks of the tenant default in the queue demo come first.",
    ),
    (
        paced,
        ["limit"],
        "5 tasks of the tenant * start in 60 s; 0 tasks of the tenant default in the queue demo come first.",
    ),
    (
        turn,
        ["turn"],
        "The dispatcher lets it go when its turn comes; 1 tasks of the tenant default in the queue demo come first.",
    ),
    (
        soon,
        ["soon"],
        "Nothing holds it up: it starts within a second; 1 of 4 places of its 1 workers are taken.",
    ),
]


@pytest.mark.parametrize(
    ("story", "reasons", "message"), CAUSES, ids=[story.__name__ for story, *_ in CAUSES]
)
async def test_the_cause_is_named(engine: Engine, story: Story, reasons: list[str], message: str) -> None:
    engine.declare(hold)
    found = await explain(engine.pool, (await story(engine)).id)
    assert [cause.reason for cause in found] == reasons
    assert found[0].message == message


async def test_what_goes_away_by_itself_has_its_time_and_what_does_not_its_remedy(engine: Engine) -> None:
    engine.declare(hold)
    for story in (upload, scheduled, backoff, snoozed):
        (first, *_) = await explain(engine.pool, (await story(engine)).id)
        assert first.until is not None
        assert first.until > datetime.now(UTC)
    (first, second) = await explain(engine.pool, (await paused(engine)).id)
    assert (first.remedy, second.remedy) == (
        "opsplane queue resume demo",
        "opsplane up --detach --only worker",
    )


async def test_a_running_task_one_that_stops_and_one_that_waits_for_its_children(engine: Engine) -> None:
    engine.declare(hold)
    joiner = Joiner(engine.pool, engine.control, engine.doorbell)
    async with engine.worker(name="w1"), engine.running(joiner):
        runs = await engine.create("demo.hold", {"do": "hold"})
        await engine.until(lambda: _is(engine, runs, "running"))
        (cause,) = await explain(engine.pool, runs.id)
        assert cause.message == "It runs on w1, attempt 1."
        parent = await engine.create("demo.hold", {"do": "fan out"})
        await engine.until(lambda: _is(engine, parent, "children"))
        (cause,) = await explain(engine.pool, parent.id)
        assert cause.message == "It waits for 3 of its 3 children."
        await engine.pool.execute("update task set cancel_requested_at = now() where id = %s", [runs.id])
        (cause,) = await explain(engine.pool, runs.id)
        assert cause.reason == "stopping"
        await engine.control.cancel(runs.id, "olga")
        await engine.finished(runs.id)


async def _is(engine: Engine, wanted: Task, reason: str) -> Cause | None:
    found = await explain(engine.pool, wanted.id)
    return found[0] if found[0].reason == reason else None


async def test_a_task_that_is_not_there(engine: Engine) -> None:
    for task_id in ("01a212c2-04ca-79dc-8582-55c301fcf1a2", "nonsense"):
        with pytest.raises(TaskNotFound):
            await explain(engine.pool, task_id)

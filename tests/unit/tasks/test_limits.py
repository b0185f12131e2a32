"""Limits and turns on the real engine: what ran at once and when it started is read from the history."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from tests.unit.tasks.conftest import Engine

from opsplane.errors import InvalidInput
from opsplane.resilience import Retry
from opsplane.tasks import Rescuer, TaskContext, task
from opsplane.tasks.limits import Dispatcher, LimitBook, NewLimit
from opsplane.tasks.limits.book import LimitNotFound


@task("number.nap", queue="naps")
async def nap(ctx: TaskContext, params: dict[str, Any]) -> None:
    await asyncio.sleep(params.get("seconds", 0.01))


@task("number.count", queue="counts", emit="none")
async def count(ctx: TaskContext, params: dict[str, Any]) -> None:
    """Nothing."""


@task("number.fail", queue="naps", retry=Retry(5, "5ms"))
async def fail(ctx: TaskContext, params: dict[str, Any]) -> None:
    await asyncio.sleep(0.01)
    if ctx.attempt < 3:
        raise ValueError("not yet")


@task("number.doze", queue="naps", retry=Retry(5, "1h"))
async def doze(ctx: TaskContext, params: dict[str, Any]) -> None:
    raise ValueError("in an hour")


@pytest.fixture
async def book(engine: Engine) -> LimitBook:
    engine.declare(nap, count, fail, doze)
    return LimitBook(engine.pool, engine.doorbell)


@asynccontextmanager
async def working(engine: Engine, workers: int = 1) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(engine.running(Dispatcher(engine.pool, engine.doorbell)))
        for number in range(workers):
            await stack.enter_async_context(engine.worker(name=f"worker {number}"))
        yield


async def most_at_once(engine: Engine, where: str = "true") -> int:
    """How many tasks ran at the same time at most."""
    rows = await engine.pool.fetch(
        f"select started_at as at, 1 as step from task_history where {where} union all"
        f" select completed_at, -1 from task_history where {where} order by at, step".encode()
    )
    most = now = 0
    for row in rows:
        now += row["step"]
        most = max(most, now)
    return most


async def done(engine: Engine, number: int, seconds: float = 30.0) -> None:
    async def there() -> bool:
        return await engine.count("task_history") >= number

    await engine.until(there, seconds)


@pytest.mark.parametrize(
    ("kind", "name"), [("queue", "naps"), ("type", "number.nap"), ("tenant", "acme"), ("tenant", "*")]
)
async def test_no_more_run_at_once_than_a_limit_says_across_workers(
    engine: Engine, book: LimitBook, kind: Any, name: str
) -> None:
    await book.put(NewLimit(kind=kind, name=name, concurrency=3), "ann")
    async with working(engine, workers=4):
        await engine.create_many("number.nap", 60, tenant="acme")
        for _ in range(6):
            await engine.create("number.nap", tenant="acme")
        await done(engine, 66)
    assert await most_at_once(engine) == 3
    assert await engine.count("task") == 0


async def test_without_the_limit_more_run_at_once(engine: Engine, book: LimitBook) -> None:
    async with working(engine, workers=4):
        await engine.create_many("number.nap", 60, params={"seconds": 0.05})
        await done(engine, 60)
    assert await most_at_once(engine) > 3


async def test_tasks_that_fail_and_come_back_keep_to_the_limit(engine: Engine, book: LimitBook) -> None:
    await book.put(NewLimit(kind="type", name="number.fail", concurrency=2), "ann")
    async with working(engine, workers=2):
        await engine.create_many("number.fail", 5, max_retries=5)
        await done(engine, 5)
    assert await most_at_once(engine) <= 2
    assert await engine.count("task_history", "status = 3 and retry_count = 2") == 5


async def test_a_task_that_waits_for_its_retry_has_no_place(engine: Engine, book: LimitBook) -> None:
    await book.put(NewLimit(kind="queue", name="naps", concurrency=1), "ann")
    async with working(engine):
        first = await engine.create("number.doze")
        await engine.until(lambda: engine.count("task", "retry_count = 1"))
        await engine.create("number.nap")
        await done(engine, 1)
        assert (await engine.store.get(first.id)).status == "pending"


async def test_the_limit_of_a_type_holds_up_no_other_type_of_its_queue(
    engine: Engine, book: LimitBook
) -> None:
    await book.put(NewLimit(kind="type", name="number.nap", concurrency=1), "ann")
    async with working(engine):
        await engine.create_many("number.nap", 20, params={"seconds": 0.2}, queue="shared")
        await engine.create_many("number.count", 200, queue="shared")
        await done(engine, 200)
        assert await engine.count("task_history", "task_type = 'number.count'") >= 195


async def test_a_rate_is_kept(engine: Engine, book: LimitBook) -> None:
    await book.put(NewLimit(kind="queue", name="counts", rate=50, per_seconds=1.0), "ann")
    async with working(engine, workers=2):
        await engine.create_many("number.count", 120)
        await done(engine, 120)
    row = await engine.pool.fetch_one(
        "select extract(epoch from max(started_at) - min(started_at))::float8 as took from task_history"
    )
    assert row is not None
    assert 119 / row["took"] == pytest.approx(50, rel=0.15)


async def test_a_tenant_that_comes_later_does_not_wait_for_the_backlog_of_another(
    engine: Engine, book: LimitBook
) -> None:
    await book.set_queue("counts", fair=True)
    async with working(engine):
        await engine.create_many("number.count", 20_000, tenant="big")
        await done(engine, 100)
        await engine.create_many("number.count", 10, tenant="small")

        async def served() -> bool:
            return await engine.count("task_history", "tenant = 'small'") == 10

        await engine.until(served)
        assert await engine.count("task", "tenant = 'big'") > 5_000
        await done(engine, 20_010, 60)


async def test_a_higher_priority_goes_before_turns(engine: Engine, book: LimitBook) -> None:
    await book.put(NewLimit(kind="queue", name="naps", concurrency=1), "ann")
    await book.set_queue("naps", fair=True)
    async with working(engine):
        await engine.create_many("number.nap", 10, tenant="low")
        await engine.create_many("number.nap", 5, tenant="high", priority=9)
        await done(engine, 15)
    rows = await engine.pool.fetch("select tenant from task_history order by started_at")
    order = "".join(row["tenant"][0] for row in rows)
    assert "hhhhh" in order
    assert not order.endswith("h")


async def test_a_limit_that_is_set_holds_what_waits_and_lifted_lets_it_go(
    engine: Engine, book: LimitBook
) -> None:
    await engine.create_many("number.nap", 30, params={"seconds": 0.03})
    await book.put(NewLimit(kind="queue", name="naps", concurrency=1), "ann")
    async with engine.running(Dispatcher(engine.pool, engine.doorbell)):
        await engine.until(lambda: _held(engine, 30))
        async with engine.worker():
            await done(engine, 3)
            (state,) = await book.all()
            assert state.taken <= 1
            assert state.held >= 20
            await book.delete("queue", "naps")
            await done(engine, 30)
    assert await most_at_once(engine) > 5


async def _held(engine: Engine, number: int) -> bool:
    return await engine.count("task", "status = 7") == number


async def test_a_paused_queue_gives_its_places_to_others(engine: Engine, book: LimitBook) -> None:
    await book.put(NewLimit(kind="type", name="number.nap", concurrency=2), "ann")
    await engine.control.pause("naps", "ann")
    async with working(engine):
        await engine.create_many("number.nap", 5)
        await engine.create_many("number.nap", 5, queue="others")
        await done(engine, 5)
        assert await engine.count("task", "queue = 'naps' and status = 7") == 5
        await engine.control.resume("naps")
        await done(engine, 10)


async def test_a_held_task_can_be_cancelled_and_one_scheduled_waits(engine: Engine, book: LimitBook) -> None:
    await book.put(NewLimit(kind="queue", name="naps", concurrency=1), "ann")
    first = await engine.create("number.nap")
    assert first.status == "pending"
    assert (await engine.control.cancel(first.id, "ann")).status == "cancelled"
    assert await engine.count("task") == 0


async def test_a_new_dispatcher_goes_on_with_the_places_taken(engine: Engine, book: LimitBook) -> None:
    await book.put(NewLimit(kind="queue", name="naps", concurrency=3), "ann")
    async with engine.worker(), engine.worker():
        await engine.create_many("number.nap", 80, params={"seconds": 0.05})
        while await engine.count("task_history") < 80:
            async with engine.running(Dispatcher(engine.pool, engine.doorbell)):
                await asyncio.sleep(random.uniform(0.02, 0.3))
    assert await most_at_once(engine) <= 3


async def test_what_cannot_be_a_limit_is_refused(book: LimitBook) -> None:
    for wrong in (
        NewLimit(kind="queue", name="naps"),
        NewLimit(kind="queue", name="naps", rate=3),
        NewLimit(kind="type", name="*", concurrency=3),
    ):
        with pytest.raises(InvalidInput):
            await book.put(wrong, "ann")
    with pytest.raises(LimitNotFound):
        await book.delete("queue", "nobody")


async def test_a_worker_that_dies_gives_its_places_back(engine: Engine, book: LimitBook) -> None:
    """Its tasks are rescued, held again, and let go by their turn."""
    await book.put(NewLimit(kind="queue", name="naps", concurrency=2), "ann")
    await engine.create_many("number.nap", 4)
    await engine.pool.execute(
        "update task set status = 1, worker = 1, claim_token = nextval('task_claim_token'), attempt = 1,"
        " claimed_at = clock_timestamp(), due_at = run_at where id in (select id from task order by id limit 2)"
    )
    await engine.pool.execute(
        "insert into worker (name, host, pid, task_types, slots, gone_at) values ('gone', 'h', 1, '{}', 1, now())"
    )
    async with (
        working(engine),
        engine.running(Rescuer(engine.pool, engine.types.values(), doorbell=engine.doorbell, grace=0.1)),
    ):
        await done(engine, 4)
    assert await most_at_once(engine) <= 2
    assert await engine.count("task_history", "status = 3") == 4

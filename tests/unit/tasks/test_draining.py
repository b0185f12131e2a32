"""A drained queue takes nothing new and loses nothing: what is refused, what is taken, and that the answer is true."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.tasks.conftest import Engine

from opsplane.clock import SYSTEM
from opsplane.resilience import Retry
from opsplane.tasks import (
    Joiner,
    NewSchedule,
    NewTask,
    QueueDraining,
    ScheduleBook,
    Scheduler,
    Status,
    TaskContext,
    draining,
    task,
)
from opsplane.tasks.explain import explain

ONCE = Retry(0)


@task("work", retry=Retry(1, "10ms"), emit="none", queue="a")
async def work(ctx: TaskContext, params: dict[str, Any]) -> None:
    if params.get("fails") and ctx.attempt <= params["fails"]:
        raise ValueError("as told")


@task("family", retry=ONCE, emit="none", queue="a")
async def family(ctx: TaskContext, params: dict[str, Any]) -> None:
    children = [NewTask(task_type="work", queue=params.get("into"))] * 3
    await ctx.fan_out(children)


async def test_new_tasks_are_refused_with_who_why_and_the_remedy_until_it_is_resumed(engine: Engine) -> None:
    engine.declare(work)
    kept = await engine.create("work")
    assert await engine.control.drain("a", "sam", "disk 3 is changed")
    with pytest.raises(QueueDraining) as caught:
        await engine.create("work")
    assert "sam" in str(caught.value)
    assert "disk 3 is changed" in str(caught.value)
    assert "opsplane queue resume a" in (caught.value.remedy or "")
    with pytest.raises(QueueDraining):
        await engine.create_many("work", 10)
    await engine.create("work", parent_id=kept.id)
    await engine.control.drain("b", "sam")
    with pytest.raises(QueueDraining):
        await engine.create("work", parent_id=kept.id, queue="b")
    await engine.create("work", queue="c")
    await engine.create_many("work", 10, queue="c")
    assert await engine.count("task", "queue = 'a'") == 2
    await engine.control.resume("a")
    await engine.create("work")
    await engine.create_many("work", 10)
    assert await engine.count("task", "queue = 'a'") == 13


async def test_what_it_holds_is_run_to_the_end_with_retries_children_and_put_backs(engine: Engine) -> None:
    engine.declare(work, family)
    failing, parent = await engine.create("work", {"fails": 1}), await engine.create("family")
    broken = await engine.create("work", {"fails": 2})
    await engine.control.drain("a", "sam")
    joiner = Joiner(engine.pool, engine.control, engine.doorbell)
    async with engine.running(joiner), engine.worker():
        ended = [await engine.finished(one.id) for one in (failing, parent, broken)]
        assert [one.status for one in ended] == ["completed", "completed", "failed"]
        await engine.control.retry(broken.id, "sam")
        assert (await engine.finished(broken.id)).status is Status.COMPLETED
    [queue] = await engine.store.queues()
    assert (queue.draining, queue.unfinished) == (True, 0)


async def test_children_from_elsewhere_are_new_to_it(engine: Engine) -> None:
    engine.declare(work, family)
    await engine.control.drain("b", "sam")
    parent = await engine.create("family", {"into": "b"})
    async with engine.worker():
        ended = await engine.finished(parent.id)
    assert (ended.status, ended.error_kind) == (Status.FAILED, "QueueDraining")


async def test_schedules_note_that_they_were_refused(engine: Engine) -> None:
    engine.declare(work)
    book = ScheduleBook(engine.producer, engine.doorbell)
    await book.put(NewSchedule(name="often", cron="* * * * *", task_type="work"), "sam")
    await engine.control.drain("a", "sam")
    past = datetime.now(UTC) - timedelta(minutes=2)
    await engine.pool.execute("update task_schedule set decided_to = %s, next_at = %s", [past, past])
    await Scheduler(engine.producer, engine.control, engine.doorbell).step()
    runs = await book.runs("often")
    assert "refused" in {run.outcome for run in runs}
    assert "takes no new tasks" in str([run.detail for run in runs])
    assert await engine.count("task") == 0


async def test_explain_and_the_list_of_queues_tell_it(engine: Engine) -> None:
    engine.declare(work, family)
    kept = await engine.create("work")
    await engine.control.drain("a", "sam", "disk 3")
    causes = await explain(engine.pool, kept.id)
    assert [cause.reason for cause in causes] == ["no_worker", "draining"]
    assert "sam" in causes[-1].message
    [queue] = await engine.store.queues()
    told = queue.draining, queue.drained_by, queue.drain_reason, queue.unfinished, queue.paused
    assert told == (True, "sam", "disk 3", 1, False)
    await engine.control.drain("a", "bob", "another")  # the first stays
    assert (await engine.store.queues())[0].drained_by == "sam"


async def test_the_drain_answers_when_transactions_that_did_not_see_it_are_over(engine: Engine) -> None:
    engine.declare(work)
    for many in (False, True):
        async with engine.pool.transaction() as tx:
            if many:
                await engine.producer.create_many(tx, [NewTask(task_type="work")] * 2)
            else:
                await engine.producer.create(tx, NewTask(task_type="work"))
            going = asyncio.create_task(engine.control.drain("a", "sam"))
            await asyncio.sleep(0.4)
            assert not going.done()
            await engine.create("work", queue="b")  # others wait for nothing
        assert await asyncio.wait_for(going, 5)
        await engine.control.resume("a")
    assert await engine.count("task", "queue = 'a'") == 3


async def test_it_says_when_one_is_open_for_too_long(engine: Engine) -> None:
    engine.declare(work)
    async with engine.pool.transaction() as tx:
        await engine.producer.create(tx, NewTask(task_type="work"))
        assert not await draining.creators_ended(engine.pool, SYSTEM, patience=0.2)
    assert await draining.creators_ended(engine.pool, SYSTEM, patience=0.2)


async def test_once_it_has_answered_nothing_comes_whoever_creates_at_that_moment(engine: Engine) -> None:
    engine.declare(work)
    for _ in range(5):
        creators = [asyncio.create_task(_creating(engine, many=number % 2 == 0)) for number in range(6)]
        await engine.until(lambda: engine.count("task"))
        assert await engine.control.drain("a", "sam")
        there = await engine.count("task")
        refused = await asyncio.wait_for(asyncio.gather(*creators), 20)
        assert refused == [True] * 6
        assert await engine.count("task") == there > 0
        await engine.pool.execute("delete from task")
        await engine.control.resume("a")


async def _creating(engine: Engine, *, many: bool) -> bool:
    while True:
        try:
            if many:
                await engine.create_many("work", 20)
            else:
                await engine.create("work")
        except QueueDraining:
            return True

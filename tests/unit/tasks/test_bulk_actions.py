from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.unit.tasks.conftest import Engine

from opsplane.errors import InvalidInput
from opsplane.resilience import Retry, Stop
from opsplane.tasks import (
    BulkBook,
    BulkRunner,
    FanOut,
    Joiner,
    NewTask,
    Status,
    Task,
    TaskContext,
    TaskFilter,
    task,
)

ONCE = Retry(0)


@task("quiet", retry=ONCE, emit="none")
async def quiet(_ctx: TaskContext, _params: dict[str, Any]) -> None:
    return None


@task("loud", retry=ONCE, emit="ends")
async def loud(ctx: TaskContext, params: dict[str, Any]) -> None:
    if params.get("fails"):
        raise ValueError("as told")
    while params.get("runs"):
        ctx.check()
        await asyncio.sleep(0.02)


@task("parent", retry=ONCE, emit="none")
async def parent(ctx: TaskContext, params: dict[str, Any]) -> dict[str, Any]:
    children = [NewTask(task_type="loud", params=one) for one in params["children"]]
    told: FanOut = await ctx.fan_out(children, policy="ignore")
    return {"completed": told.completed, "failed": told.failed, "cancelled": told.cancelled}


def runner(engine: Engine, **options: Any) -> BulkRunner:
    return BulkRunner(engine.pool, engine.outbox, engine.doorbell, **options)


async def asked(engine: Engine, action: Any, actor: str = "sam", **wanted: Any) -> Task:
    """A bulk action that was asked for."""
    book = BulkBook(engine.pool, engine.doorbell)
    return await book.start(await book.ask(action, TaskFilter(**wanted), actor))


async def done(
    engine: Engine, action: Any, *, batch: int = 500, patience: float = 30.0, **wanted: Any
) -> Task:
    """A bulk action, done."""
    bulk = await asked(engine, action, **wanted)
    assert await runner(engine, batch=batch, patience=patience).step(Stop())
    return await engine.store.get(bulk.id)


async def test_waiting_tasks_are_cancelled_running_ones_asked_and_others_left_alone(engine: Engine) -> None:
    engine.declare(loud)
    async with engine.worker():
        engine.declare(quiet)  # which the worker does not run
        await engine.create_many("quiet", 25)
        upload = await engine.create("quiet", file_name="a.csv")
        later = await engine.create("quiet", queue="other")
        running = await engine.create("loud", {"runs": True}, queue="quick")
        await engine.status(running.id, "processing")
        bulk = await done(engine, "cancel", batch=10, queue="default")
        assert (await engine.store.get(running.id)).cancel_requested_at is None
        stopped = await done(engine, "cancel", queue="quick")
        assert (await engine.finished(running.id)).status is Status.CANCELLED
    assert (await engine.store.get(upload.id)).status is Status.CANCELLED
    assert (bulk.status, bulk.processed_records, bulk.total_records) == (Status.COMPLETED, 26, 26)
    assert bulk.result == {"action": "cancel", "matched": 26, "skipped": 0, "cancelled": 26, "askedToStop": 0}
    assert stopped.result == {
        "action": "cancel",
        "matched": 1,
        "skipped": 0,
        "cancelled": 0,
        "askedToStop": 1,
    }
    assert (await engine.store.get(later.id)).status is Status.PENDING


async def test_events_of_cancelled_tasks_are_those_of_single_cancels(engine: Engine) -> None:
    engine.declare(loud)
    single, bulk = [await engine.create("loud", requested_by="ann") for _ in range(2)]
    await engine.control.cancel(single.id, "sam")
    await done(engine, "cancel", task_type="loud")
    rows = await engine.pool.fetch("select topic, subject, envelope from outbox order by id")
    facts = [(row["topic"], row["subject"], msgspec.json.decode(row["envelope"])["data"]) for row in rows]
    data = {
        subject: {k: v for k, v in told.items() if k not in ("at", "taskId")} for _, subject, told in facts
    }
    assert {topic for topic, _, _ in facts} == {"operations.task.cancelled"}
    assert (
        data[bulk.id] == data[single.id] == {"taskType": "loud", "requestedBy": "ann", "cancelledBy": "sam"}
    )
    told = [await engine.store.events(one.id) for one in (single, bulk)]
    assert [event.kind for event in told[0]] == [event.kind for event in told[1]] == ["created", "cancelled"]
    columns = "status, cancel_requested_by, cancel_requested_at is not null as asked, error_kind, queue, retry_count"
    rows = await engine.pool.fetch(f"select {columns} from task_history where task_type = 'loud'".encode())  # type: ignore[arg-type]
    assert rows[0] == rows[1]


async def test_failed_tasks_are_retried_but_not_where_the_unique_key_is_taken(engine: Engine) -> None:
    engine.declare(loud)
    async with engine.worker():
        failed = [await engine.create("loud", {"fails": True}) for _ in range(12)]
        keyed = [
            await failing(engine, unique_key="a"),
            await failing(engine, unique_key="a"),
            await failing(engine, unique_key="b"),
        ]
        fine = await engine.create("loud")
        for one in (*failed, fine):
            await engine.finished(one.id)
    blocking = await engine.create("loud", unique_key="b")
    bulk = await done(engine, "retry", batch=4, task_type="loud")
    assert bulk.result == {"action": "retry", "matched": 15, "skipped": 0, "retried": 13, "refused": 2}
    states = [(await engine.store.get(one.id)) for one in keyed]
    assert sorted(one.status for one in states) == ["failed", "failed", "pending"]
    assert states[2].status is Status.FAILED
    again = await engine.store.get(failed[0].id)
    assert (again.status, again.retry_count) == (Status.PENDING, 1)
    kinds = [event.kind for event in await engine.store.events(failed[0].id)]
    assert kinds == ["created", "started", "failed", "retried"]
    [line, *_] = await engine.store.logs(bulk.id)
    assert (line.level, line.message) == (
        "warning",
        "not retried: another unfinished task has the unique key",
    )
    assert await engine.count("task", "status = 0") == 14
    assert (await engine.store.get(blocking.id)).status is Status.PENDING


async def failing(engine: Engine, **fields: Any) -> Task:
    made = await engine.create("loud", {"fails": True}, **fields)
    return await engine.finished(made.id)


async def test_the_counts_of_fan_outs_stay_exact(engine: Engine) -> None:
    engine.declare(loud, parent)
    joiner = Joiner(engine.pool, engine.control, engine.doorbell)
    async with engine.running(joiner), engine.worker(slots=20):
        given = [{"fails": True}] * 3 + [{}] * 2 + [{"runs": True}] * 6
        made = await engine.create("parent", {"children": given}, queue="parents")

        async def settled() -> bool:
            [state] = await engine.store.fan_outs(made.id) or [None]
            return state is not None and state.failed == 3 and state.completed == 2

        await engine.until(settled)
        await engine.control.pause("default", "sam")
        bulk = await done(engine, "retry", parent_id=made.id)
        assert (bulk.result or {})["retried"] == 3
        [state] = await engine.store.fan_outs(made.id)
        assert (state.completed, state.failed, state.cancelled) == (2, 0, 0)
        bulk = await done(engine, "cancel", parent_id=made.id)
        result = bulk.result or {}
        assert (result["cancelled"], result["askedToStop"], result["skipped"]) == (3, 6, 0)
        ended = await engine.finished(made.id)
    assert ended.result == {"completed": 2, "failed": 0, "cancelled": 9}


async def test_tasks_that_another_transaction_has_are_waited_for_and_judged_again(engine: Engine) -> None:
    engine.declare(quiet)
    ids = await engine.create_many("quiet", 8)
    async with engine.pool.transaction() as tx:
        await tx.execute("select from task where id = any(%s::uuid[]) for update", [ids[:3]])
        await tx.execute("update task set queue = 'other' where id = %s", [ids[0]])
        bulk = await asked(engine, "cancel", task_type="quiet")
        running = asyncio.create_task(runner(engine, batch=4).step(Stop()))

        async def most() -> bool:
            return (await engine.store.get(bulk.id)).processed_records == 5

        await engine.until(most)
        assert (await engine.store.get(bulk.id)).message == "3 wait for other transactions"
        await tx.execute("delete from task where id = %s", [ids[1]])
    assert await asyncio.wait_for(running, 10)
    ended = await engine.store.get(bulk.id)
    assert ended.result == {"action": "cancel", "matched": 8, "skipped": 1, "cancelled": 7, "askedToStop": 0}


async def test_tasks_that_stay_locked_are_given_up_after_a_while(engine: Engine) -> None:
    engine.declare(quiet)
    ids = await engine.create_many("quiet", 5)
    async with engine.pool.transaction() as tx:
        await tx.execute("select from task where id = any(%s::uuid[]) for update", [ids[:2]])
        ended = await done(engine, "cancel", patience=0.3, task_type="quiet")
    assert ended.result == {"action": "cancel", "matched": 5, "skipped": 2, "cancelled": 3, "askedToStop": 0}
    assert await engine.count("task") == 2


async def test_it_is_interrupted_goes_on_and_counts_each_task_once(engine: Engine) -> None:
    engine.declare(loud)
    ids = await engine.create_many("loud", 60)
    bulk = await asked(engine, "cancel", task_type="loud")
    await engine.create_many("loud", 5)  # later: not meant
    stop = Stop()
    first = runner(engine, batch=7)
    going = asyncio.create_task(first.step(stop))

    async def begun() -> bool:
        return (await engine.store.get(bulk.id)).processed_records > 0

    await engine.until(begun)
    stop.set()
    await going
    part = await engine.store.get(bulk.id)
    assert part.status is Status.PROCESSING
    assert await runner(engine, batch=7).step(Stop())
    ended = await engine.store.get(bulk.id)
    assert ended.result == {
        "action": "cancel",
        "matched": 60,
        "skipped": 0,
        "cancelled": 60,
        "askedToStop": 0,
    }
    assert await engine.count("task_history", "task_type = 'loud' and status = 5") == 60
    assert await engine.count("outbox", "topic = 'operations.task.cancelled'") == 60
    assert await engine.count("task", "task_type = 'loud'") == 5
    assert len(ids) == 60


async def test_a_deposed_runner_writes_nothing_more(engine: Engine) -> None:
    engine.declare(quiet)
    await engine.create_many("quiet", 30)
    bulk = await asked(engine, "cancel", task_type="quiet")
    await engine.pool.execute("update task set status = 1, claim_token = 7 where id = %s", [bulk.id])
    old = runner(engine, batch=5)
    stop = Stop()
    going = asyncio.create_task(old.step(stop))
    await engine.until(lambda: engine.count("task_history"))
    await engine.pool.execute("update task set claim_token = 999 where id = %s", [bulk.id])
    await going
    seen = await engine.store.get(bulk.id)
    if seen.status is Status.PROCESSING:  # it was taken over in the middle
        assert await engine.count("task_history") == seen.processed_records
    assert await runner(engine).step(Stop()) is (seen.status is Status.PROCESSING)
    ended = await engine.store.get(bulk.id)
    assert (ended.result or {})["cancelled"] == 30


async def test_it_stops_when_it_is_cancelled(engine: Engine) -> None:
    engine.declare(quiet)
    await engine.create_many("quiet", 40)
    bulk = await asked(engine, "cancel", task_type="quiet")
    going = asyncio.create_task(runner(engine, batch=2).step(Stop()))
    await engine.until(lambda: engine.count("task_history"))
    await engine.control.cancel(bulk.id, "sam")
    await going
    ended = await engine.store.get(bulk.id)
    assert ended.status is Status.CANCELLED
    left = await engine.count("task", "task_type = 'quiet'")
    assert 0 < left < 40
    assert (ended.result or {})["cancelled"] == 40 - left == await engine.count("task_history") - 1


async def test_an_error_fails_it_and_a_retry_goes_on(engine: Engine) -> None:
    engine.declare(quiet)
    await engine.create_many("quiet", 6)
    bulk = await asked(engine, "cancel", task_type="quiet")
    await engine.pool.execute("alter table task_history add constraint refuse check (task_type <> 'quiet')")
    assert await runner(engine).step(Stop())
    failed = await engine.store.get(bulk.id)
    assert (failed.status, failed.error_kind) == (Status.FAILED, "CheckViolation")
    await engine.pool.execute("alter table task_history drop constraint refuse")
    await engine.control.retry(bulk.id, "sam")
    assert await runner(engine).step(Stop())
    assert ((await engine.store.get(bulk.id)).result or {})["cancelled"] == 6


async def test_bulk_actions_are_not_meant_by_bulk_actions(engine: Engine) -> None:
    book = BulkBook(engine.pool, engine.doorbell)
    first = await book.start(await book.ask("cancel", TaskFilter(), "sam", everything=True))
    second = await book.ask("cancel", TaskFilter(queue="operations"), "sam")
    assert (first.status, second.matched) == (Status.PENDING, 0)


@pytest.mark.parametrize(
    ("action", "wanted"),
    [
        ("cancel", TaskFilter()),
        ("retry", TaskFilter()),
        ("retry", TaskFilter(status=Status.FAILED)),  # says nothing that retrying does not
        ("cancel", TaskFilter(status=Status.FAILED, queue="a")),
        ("retry", TaskFilter(status=Status.PENDING, queue="a")),
    ],
)
async def test_a_filter_that_names_nothing_or_the_impossible_is_refused(
    engine: Engine, action: Any, wanted: TaskFilter
) -> None:
    book = BulkBook(engine.pool, engine.doorbell)
    with pytest.raises(InvalidInput) as caught:
        await book.ask(action, wanted, "sam")
    assert caught.value.remedy


async def test_as_a_duty_it_is_woken(engine: Engine) -> None:
    engine.declare(quiet)
    await engine.create_many("quiet", 3)
    async with engine.running(runner(engine)):
        bulk = await asked(engine, "cancel", task_type="quiet")
        assert (await engine.finished(bulk.id)).status is Status.COMPLETED

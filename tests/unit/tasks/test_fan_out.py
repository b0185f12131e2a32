from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from tests.unit.tasks.conftest import Engine

from opsplane.database import Pool
from opsplane.errors import InvalidInput
from opsplane.resilience import Retry
from opsplane.tasks import FanOut, Joiner, NewTask, Status, Task, TaskContext, TaskFilter, TaskType, task
from opsplane.tasks.fan_out import passes, policy_text
from opsplane.testing import HandlerRuntime

ONCE = Retry(0)


@task("child", retry=ONCE, emit="none")
async def child(ctx: TaskContext, params: dict[str, Any]) -> None:
    if params.get("fails"):
        raise ValueError("as told")
    for _ in range(params.get("waits", 0)):
        ctx.check()
        await asyncio.sleep(0.02)


@task("after", retry=ONCE)
async def after(_ctx: TaskContext, params: FanOut) -> dict[str, Any]:
    return {"completed": params.completed, "failed": params.failed, "passed": params.passed}


async def spread(ctx: TaskContext, params: dict[str, Any]) -> dict[str, Any]:
    before = await ctx.step("before", lambda: ctx.attempt)
    children = [NewTask(task_type="child", params=one) for one in params["children"]]
    told = await ctx.fan_out(children, policy=params.get("policy", "all"), then=params.get("then"))
    return {"before": before, "attempt": ctx.attempt, "completed": told.completed, "failed": told.failed}


def parents() -> list[TaskType]:
    return [task(name, isolation=name, retry=ONCE)(spread) for name in ("async", "thread", "process")]  # type: ignore[arg-type]


@dataclass(frozen=True)
class Shop:
    """A workshop that can be pickled."""

    dsn: str

    def types(self) -> Sequence[TaskType]:
        return [*parents(), child, after]

    @asynccontextmanager
    async def runtime(self, _service: str | None) -> AsyncIterator[HandlerRuntime]:
        pool = await Pool.open(self.dsn, max_size=2)
        try:
            yield HandlerRuntime(pool)
        finally:
            await pool.close()


@asynccontextmanager
async def family(engine: Engine, **options: Any) -> AsyncIterator[Joiner]:
    """A worker and a joiner."""
    engine.declare(*parents(), child, after)
    joiner = Joiner(engine.pool, engine.control, engine.doorbell)
    shop = Shop(str.__str__(engine.pool.dsn))
    async with engine.running(joiner), engine.worker(workshop=shop, processes=1, **options):
        yield joiner


async def children_of(engine: Engine, parent: Task) -> list[Task]:
    return (await engine.store.search(TaskFilter(parent_id=parent.id), limit=500)).items


@pytest.mark.parametrize("isolation", ["async", "thread", "process"])
async def test_a_parent_waits_without_a_worker_and_goes_on_with_the_counts(
    engine: Engine, isolation: str
) -> None:
    given = {"children": [{"waits": 10}] * 5, "then": "after"}
    async with family(engine):
        made = await engine.create(isolation, given, requested_by="ann")

        async def parked() -> Task | None:
            task = await engine.store.get(made.id)
            return task if task.waits_for == "children" else None

        waiting: Task = await engine.until(parked, 40)
        assert (waiting.status, waiting.total_records) == (Status.PROCESSING, 5)
        assert (waiting.claim_token, waiting.started_at is not None) == (None, True)
        done = await engine.finished(made.id, 40)
        [state] = await engine.store.fan_outs(made.id)
        called = await engine.finished(str(state.callback_id))
    assert done.status is Status.COMPLETED, done.error_message
    assert done.result == {"before": 1, "attempt": 2, "completed": 5, "failed": 0}
    assert (done.total_records, done.processed_records, done.failed_records) == (5, 5, 0)
    assert called.result == {"completed": 5, "failed": 0, "passed": True}
    kinds = [event.kind for event in await engine.store.events(made.id)]
    assert kinds == ["created", "started", "step", "waits", "children_done", "started", "completed"]
    found = await children_of(engine, made)
    assert {(one.requested_by, one.status) for one in found} == {("ann", Status.COMPLETED)}
    assert len(found) == 6  # five children and the callback


@pytest.mark.parametrize(
    ("policy", "total", "completed", "lets"),
    [
        ("all", 3, 3, True), ("all", 3, 2, False), ("all", 0, 0, True),
        ("any", 3, 1, True), ("any", 3, 0, False), ("any", 0, 0, True),
        ("ignore", 3, 0, True), (0, 3, 2, False), (1, 3, 2, True), (1, 3, 1, False),
        ("1%", 1000, 990, True), ("1%", 1000, 989, False), ("0.5%", 1000, 995, True), ("100%", 3, 0, True),
    ],
)  # fmt: skip
def test_policies(policy: str | int, total: int, completed: int, lets: bool) -> None:
    assert passes(policy_text(policy), total, completed) is lets


@pytest.mark.parametrize("policy", ["most", "101%", "-1", -1, "", "5 %", "٣"])
def test_what_is_no_policy_is_refused(policy: str | int) -> None:
    with pytest.raises(InvalidInput):
        policy_text(policy)


async def test_the_policy_fails_the_parent_and_a_retried_child_heals_it(engine: Engine) -> None:
    async with family(engine):
        made = await engine.create("async", {"children": [{}, {"fails": 1}, {"fails": 1}]})
        failed = await engine.finished(made.id)
        assert (failed.status, failed.error_kind) == (Status.FAILED, "ChildrenFailed")
        assert "2 of 3 children" in (failed.error_message or "")
        assert (failed.processed_records, failed.failed_records) == (3, 2)
        broken = [one for one in await children_of(engine, made) if one.status is Status.FAILED]
        await engine.pool.execute(
            "update task_history set params = '{\"waits\": 20}' where status = 4 and task_type = 'child'"
        )
        for one in broken:
            await engine.control.retry(one.id, "sam")
        [state] = await engine.store.fan_outs(made.id)
        assert (state.completed, state.failed) == (1, 0)
        await engine.control.retry(made.id, "sam")
        healed = await engine.finished(made.id)
        [state] = await engine.store.fan_outs(made.id)
    assert healed.status is Status.COMPLETED, healed.error_message
    assert healed.result == {"before": 1, "attempt": 4, "completed": 3, "failed": 0}
    assert (state.total, state.completed, state.failed) == (3, 3, 0)
    assert (healed.processed_records, healed.failed_records) == (3, 0)
    assert len(await children_of(engine, made)) == 3


async def test_a_cancelled_parent_takes_its_children_along(engine: Engine) -> None:
    given = {"children": [{"waits": 10_000}] * 20, "then": "after"}
    async with family(engine, slots=4):
        made = await engine.create("async", given)
        await engine.until(lambda: engine.count("task", "status = 1 and task_type = 'child'"))
        asked = await engine.control.cancel(made.id, "sam")
        assert (asked.status, asked.cancel_requested_at is not None) == (Status.PROCESSING, True)
        done = await engine.finished(made.id)
        found = await children_of(engine, made)
    assert done.status is Status.CANCELLED
    assert [one.status for one in found] == [Status.CANCELLED] * 20  # and no callback
    assert (done.total_records, done.processed_records, done.failed_records) == (20, 20, 20)
    assert await engine.count("task") == 0
    assert await engine.count("fan_out_tally") == 0


async def test_a_fan_out_without_children_waits_for_nothing(engine: Engine) -> None:
    async with family(engine):
        done = await engine.finished((await engine.create("async", {"children": []})).id)
    assert done.result == {"before": 1, "attempt": 1, "completed": 0, "failed": 0}


async def test_other_children_count_nowhere(engine: Engine) -> None:
    async with family(engine):
        made = await engine.create("async", {"children": [{}]})
        await engine.finished(made.id)
        other = await engine.create("child", {"fails": 1}, parent_id=made.id)
        await engine.finished(other.id)
        [state] = await engine.store.fan_outs(made.id)
    assert (state.total, state.completed, state.failed) == (1, 1, 0)


async def test_a_callback_of_no_known_type_creates_nothing(engine: Engine) -> None:
    async with family(engine):
        done = await engine.finished((await engine.create("async", {"children": [{}], "then": "afer"})).id)
    assert (done.status, done.error_kind) == (Status.FAILED, "UnknownTaskType")
    assert await engine.count("any_task", "task_type = 'child'") == 0


async def test_a_thousand_children_with_one_percent_failures_follow_each_policy(engine: Engine) -> None:
    """Seven parents at once; every look at the counts compares them with the history in one statement."""
    policies: dict[str | int, Status] = {
        "all": Status.FAILED, "any": Status.COMPLETED, "ignore": Status.COMPLETED, 10: Status.COMPLETED,
        9: Status.FAILED, "1%": Status.COMPLETED, "0.9%": Status.FAILED,
    }  # fmt: skip
    children = [{"fails": int(number % 100 == 0)} for number in range(1000)]
    off = """
        select count(*) as n from fan_out_now as told
        join lateral (
            select count(*) filter (where status = 3) as completed, count(*) filter (where status = 4) as failed
            from task_history where parent_id = told.parent_id and task_type = 'child'
        ) as told_by_history on true
        where (told.completed, told.failed) <> (told_by_history.completed, told_by_history.failed)
    """
    looks, seen = 0, []
    async with family(engine):
        made = {
            policy: (await engine.create("async", {"children": children, "policy": policy})).id
            for policy in policies
        }
        while await engine.count("task"):
            row = await engine.pool.fetch_one(off.encode())  # type: ignore[arg-type]
            assert row == {"n": 0}
            shown = await engine.pool.fetch_one(
                "select processed_records as n from task where id = %s", [made["all"]]
            )
            seen += [shown["n"]] if shown else []
            looks += 1
        ended = {policy: await engine.store.get(task_id) for policy, task_id in made.items()}
        states = {policy: (await engine.store.fan_outs(task_id))[0] for policy, task_id in made.items()}
    print(
        f"\n7 fan-outs of 1,000: {looks} looks at exact counts, {len(set(seen))} different ones shown by one parent"
    )
    for policy, task_id in made.items():
        one, state = ended[policy], states[policy]
        print(f"policy {policy}: {one.status}, {state.completed} completed, {state.failed} failed; {task_id}")
    assert {policy: one.status for policy, one in ended.items()} == policies
    assert {(state.total, state.completed, state.failed, state.cancelled) for state in states.values()} == {
        (1000, 990, 10, 0)
    }
    assert {(one.total_records, one.processed_records, one.failed_records) for one in ended.values()} == {
        (1000, 1000, 10)
    }
    assert seen == sorted(seen)
    assert looks > 5

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.tasks.conftest import Engine

from opsplane.clock import Clock
from opsplane.database import Pool
from opsplane.files import LocalStore
from opsplane.resilience import Retry
from opsplane.tasks import Pruner, Status, TaskContext, TaskType, task
from opsplane.testing import HandlerRuntime

ISOLATIONS = ["async", "thread", "process"]


class Page(msgspec.Struct):
    number: int
    lines: tuple[str, ...]


async def note(ctx: TaskContext, name: str) -> Page:
    await ctx.pool.execute("insert into called values (%s, %s)", [ctx.id, name])
    return Page(ctx.attempt, ("a", "b\x00"))


async def stepping(ctx: TaskContext, params: dict[str, Any]) -> dict[str, Any]:
    """Fails after the second of its three steps, in its first attempt."""
    told = [await ctx.step("one", note, ctx, "one"), await ctx.step("two", note, ctx, "two")]
    if ctx.attempt == 1:
        raise ValueError("bad luck")
    told.append(await ctx.step("three", note, ctx, "three"))
    told.append(await ctx.step("plain", lambda: 2**60))
    return {"told": told}


def declared() -> list[TaskType]:
    retry = Retry(3, "10ms..20ms")
    return [task(name, isolation=name, retry=retry)(stepping) for name in ISOLATIONS]  # type: ignore[arg-type]


@dataclass(frozen=True)
class Shop:
    """A workshop that can be pickled."""

    dsn: str

    def types(self) -> Sequence[TaskType]:
        return declared()

    @asynccontextmanager
    async def runtime(self, _service: str | None) -> AsyncIterator[HandlerRuntime]:
        pool = await Pool.open(self.dsn, max_size=2)
        try:
            yield HandlerRuntime(pool)
        finally:
            await pool.close()


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_a_retried_task_continues_after_its_last_finished_step(engine: Engine, isolation: str) -> None:
    await engine.pool.execute("create table called (task_id uuid, step text)")
    engine.declare(*declared())
    async with engine.worker(workshop=Shop(str.__str__(engine.pool.dsn)), processes=1):
        done = await engine.finished((await engine.create(isolation)).id, 40)
    assert done.status is Status.COMPLETED
    first, second = {"number": 1, "lines": ["a", "b�"]}, {"number": 2, "lines": ["a", "b�"]}
    assert done.result == {"told": [first, first, second, 2**60]}
    assert await engine.count("called") == 3
    kept = await engine.store.steps(done.id)
    assert [(step.name, step.attempt) for step in kept] == [
        ("one", 1),
        ("two", 1),
        ("three", 2),
        ("plain", 2),
    ]
    assert kept[0].result == {"number": 1, "lines": ["a", "b\x00"]}  # as it was given
    happened = [
        (event.kind, (event.detail or {}).get("step")) for event in await engine.store.events(done.id)
    ]
    assert [step for kind, step in happened if kind == "step"] == ["one", "two", "three", "plain"]


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("twice", "used the step name 'same' twice in one attempt"),
        ("long", "at most 262144 are kept"),
        ("no json", "is no JSON"),
        ("name", "1 to 200 characters"),
    ],
)
async def test_a_step_that_cannot_be_kept_fails_its_task_without_retry(
    engine: Engine, case: str, says: str
) -> None:
    @task("odd")
    async def odd(ctx: TaskContext, _params: dict[str, Any]) -> None:
        match case:
            case "twice":
                await ctx.step("same", int)
                await ctx.step("same", int)
            case "long":
                await ctx.step("long", lambda: "x" * 300_000)
            case "no json":
                await ctx.step("odd", object)
            case "name":
                await ctx.step("x" * 201, int)

    engine.declare(odd)
    async with engine.worker():
        done = await engine.finished((await engine.create("odd")).id)
    assert (done.status, done.error_kind, done.attempt) == (Status.FAILED, "StepRefused", 1)
    assert says in (done.error_message or "")


async def test_a_step_of_an_attempt_that_lost_its_task_is_not_kept(engine: Engine) -> None:
    errors: list[str] = []

    @task("slow", retry=Retry(0))
    async def slow(ctx: TaskContext, _params: dict[str, Any]) -> None:
        async def taken_away() -> int:
            await ctx.pool.execute(
                "update task set claim_token = nextval('task_claim_token') where id = %s", [ctx.id]
            )
            return 1

        try:
            await ctx.step("late", taken_away)
        except Exception as error:
            errors.append(type(error).__name__)
            raise

    engine.declare(slow)
    async with engine.worker():
        made = await engine.create("slow")
        await engine.until(lambda: _truth(errors))
        assert errors == ["Fenced"]
        assert await engine.store.steps(made.id) == []


async def _truth(found: Sequence[Any]) -> bool:
    return bool(found)


async def test_steps_go_with_their_task(engine: Engine, tmp_path: Path) -> None:
    @task("short")
    async def short(ctx: TaskContext, _params: dict[str, Any]) -> None:
        await ctx.step("only", int)

    engine.declare(short)
    async with engine.worker():
        deleted, pruned = [await engine.finished((await engine.create("short")).id) for _ in range(2)]
        waiting = await engine.create("short", scheduled_at=datetime.now(UTC) + timedelta(days=90))
    await engine.pool.execute(
        "insert into task_step values (%s, 'early', 1, '1', now(), now())", [waiting.id]
    )
    await engine.control.delete(deleted.id)
    assert await engine.count("task_step", f"task_id = '{deleted.id}'") == 0

    class Later(Clock):
        def now(self) -> datetime:
            return datetime.now(UTC) + timedelta(days=60)

    objects = LocalStore(tmp_path, "common-operations", "key", "http://127.0.0.1")
    assert await Pruner(engine.pool, objects, clock=Later()).prune()
    assert await engine.count("task_step", f"task_id = '{pruned.id}'") == 0
    assert await engine.count("task_step", f"task_id = '{waiting.id}'") == 1

"""What is written of an attempt's end: once, by the attempt that holds the task, whatever clock its worker has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.tasks.conftest import Engine

from opsplane.tasks import TaskContext, task
from opsplane.tasks.attempt import Attempt
from opsplane.tasks.completing import Completer
from opsplane.tasks.context import Claim
from opsplane.tasks.events import Happened, append_events
from opsplane.tasks.outcome import Attempted, Ending, Outcome
from opsplane.tasks.settling import settle
from opsplane.testing import HandlerRuntime

ENDINGS = [Ending.COMPLETED, Ending.TRY_AGAIN]
NOW = datetime.now(UTC)


@task("thing")
async def thing(_ctx: TaskContext, _params: dict[str, Any]) -> None:
    """Only ever created here."""


async def claimed(engine: Engine, token: int, *, told: bool = False) -> str:
    """A task that an attempt holds, its start told or not."""
    engine.declare(thing)
    made = await engine.create("thing")
    await engine.pool.execute(
        "update task set status = 1, claim_token = %s, claimed_at = now(), attempt = 1,"
        " started_at = case when %s then now() end where id = %s",
        [token, told, made.id],
    )
    return made.id


def outcome(task_id: str, token: int, ending: Ending = Ending.COMPLETED, emit: int = 2) -> Outcome:
    facts: dict[str, Any] = {"task_type": "thing", "attempt": 1, "queue": "default", "worker": 1}
    attempted = Attempted(id=task_id, token=token, emit=emit, claimed_at=NOW, **facts)
    return Outcome(attempted=attempted, ending=ending)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("told", [True, False])
async def test_a_start_is_published_once_though_its_report_was_under_way(
    engine: Engine, ending: Ending, told: bool
) -> None:
    task_id = await claimed(engine, 7, told=told)
    async with engine.pool.transaction() as tx:
        assert await settle(tx, engine.outbox, [outcome(task_id, 7, ending)]) == {7}
    assert await engine.count("outbox", "topic = 'operations.task.started'") == (not told)


async def test_of_two_attempts_in_one_batch_only_the_holder_finishes_the_task(engine: Engine) -> None:
    task_id = await claimed(engine, 9)
    async with engine.pool.transaction() as tx:
        assert await settle(tx, engine.outbox, [outcome(task_id, 7), outcome(task_id, 9)]) == {9}
    assert await engine.count("task_history") == 1
    assert await engine.count("outbox", "topic = 'operations.task.completed'") == 1


async def test_of_two_plain_completions_in_one_batch_only_the_holder_s_counts(engine: Engine) -> None:
    task_id = await claimed(engine, 9)
    completer = Completer(engine.pool, engine.outbox, None)
    for token in (7, 9):
        completer.put(outcome(task_id, token, emit=0))
    completer.close()
    await completer.run()
    assert await engine.count("task_history") == 1


@pytest.mark.parametrize("hours", [-3, 3])
async def test_a_start_is_told_by_the_database_s_clock_not_by_the_worker_s(
    engine: Engine, hours: int
) -> None:
    facts: dict[str, Any] = {"attempt": 1, "retry_count": 0, "max_retries": 0, "params": "{}", "worker": 1}
    at = datetime.now(UTC) + timedelta(hours=hours)
    times = dict.fromkeys(("created_at", "claimed_at", "run_at", "due_at"), at)
    claim = Claim(
        id="1", task_type="thing", token=7, queue="default", prio=4, emit=0, tenant="t", timeout=9.0, **times, **facts
    )  # fmt: skip
    context = TaskContext(claim, None, HandlerRuntime(engine.pool), None)  # type: ignore[arg-type]
    Attempt(claim, thing, context)
    assert context.delay < 1e6


async def test_what_happens_without_a_time_happens_now_by_the_database_s_clock(engine: Engine) -> None:
    task_id = await claimed(engine, 7)
    async with engine.pool.transaction() as tx:
        await append_events(tx, [Happened(task_id, None, "rescued")])
    assert await engine.count("task_event", "at between now() - interval '1 minute' and now()") == 1

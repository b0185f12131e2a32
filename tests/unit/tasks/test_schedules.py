"""Schedules on a real database: every time is decided once, by the policies, whoever dies in between."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.unit.tasks.conftest import Engine

from opsplane.clock import ManualClock
from opsplane.errors import InvalidInput
from opsplane.tasks import NewSchedule, ScheduleBook, Scheduler, TaskContext, UnknownTaskType, task
from opsplane.tasks.schedules import Decision, ScheduleNotFound, decide

START = datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)


@task("report.build", service="order")
async def build(ctx: TaskContext, params: dict[str, Any]) -> None:
    """Only ever created here."""


class Planned:
    """Schedules under a clock that is moved by hand."""

    def __init__(self, engine: Engine) -> None:
        engine.declare(build)
        self.engine = engine
        self.clock = ManualClock(START)
        self.book = ScheduleBook(engine.producer, engine.doorbell, self.clock)
        self.scheduler = Scheduler(engine.producer, engine.control, engine.doorbell, self.clock)

    async def put(self, cron: str = "* * * * *", **more: Any) -> None:
        await self.book.put(NewSchedule(name="reports", cron=cron, task_type="report.build", **more), "olga")

    async def after(self, **time: float) -> list[str]:
        """What is decided when so much time has passed with nobody deciding, the earliest first."""
        await self.clock.advance(timedelta(**time).total_seconds())
        before = {run.due_at for run in await self.book.runs("reports", 5000)}
        await self.scheduler.step()
        runs = await self.book.runs("reports", 5000)
        return [f"{run.due_at:%H:%M} {run.outcome}" for run in reversed(runs) if run.due_at not in before]

    async def unfinished(self) -> int:
        return await self.engine.count("task")


@pytest.fixture
def planned(engine: Engine) -> Planned:
    return Planned(engine)


async def test_a_task_comes_at_each_time_with_all_that_was_asked_for(planned: Planned) -> None:
    await planned.put(params={"month": 3}, queue="nightly", priority=2, requested_by="olga", overlap="allow")
    assert await planned.after(seconds=20) == []
    assert await planned.after(seconds=10) == ["12:01 created"]
    assert await planned.after(seconds=60) == ["12:02 created"]
    schedule = await planned.book.get("reports")
    created = await planned.engine.store.get(schedule.last_task or "")
    assert (created.params, created.queue, created.priority) == ({"month": 3}, "nightly", 2)
    assert created.requested_by == "olga"
    (event,) = [one for one in await planned.engine.store.events(created.id) if one.kind == "scheduled_by"]
    assert event.detail == {"schedule": "reports", "dueAt": "2026-03-01T12:02:00+00:00"}
    assert (schedule.decided_to, schedule.next_at) == (
        START + timedelta(seconds=90),
        START + timedelta(seconds=150),
    )


async def test_missed_times_follow_the_policy(planned: Planned) -> None:
    await planned.put(missed="skip", overlap="allow")
    assert await planned.after(minutes=3, seconds=15) == ["12:01 missed", "12:02 missed", "12:03 created"]
    await planned.put(missed="once", overlap="allow", grace_seconds=5)
    assert await planned.after(minutes=3) == ["12:04 missed", "12:05 missed", "12:06 created"]
    await planned.put(missed="all", overlap="allow", grace_seconds=5)
    assert await planned.after(minutes=3) == ["12:07 created", "12:08 created", "12:09 created"]


async def test_a_long_absence_is_decided_whole(planned: Planned) -> None:
    await planned.put(missed="once")
    outcomes = [one.split()[1] for one in await planned.after(hours=30)]
    assert (len(outcomes), outcomes.count("created"), outcomes[-1]) == (1800, 1, "created")


async def test_overlap_follows_the_policy(planned: Planned) -> None:
    await planned.put(overlap="skip")
    assert await planned.after(minutes=1) == ["12:01 created"]
    assert await planned.after(minutes=1) == ["12:02 overlapped"]
    first = (await planned.book.get("reports")).last_task or ""
    await planned.put(overlap="cancel")
    assert await planned.after(minutes=1) == ["12:03 created"]
    assert (await planned.engine.store.get(first)).status == "cancelled"
    await planned.put(overlap="allow")
    assert await planned.after(minutes=1) == ["12:04 created"]
    assert await planned.unfinished() == 2
    async with planned.engine.worker():
        await planned.engine.until(lambda: _none(planned))
    await planned.put(overlap="skip")
    assert await planned.after(minutes=1) == ["12:05 created"]


async def _none(planned: Planned) -> bool:
    return await planned.unfinished() == 0


async def test_several_schedulers_decide_each_time_once(planned: Planned) -> None:
    await planned.put(missed="all", overlap="allow")
    await planned.clock.advance(3600.0)
    others = [
        Scheduler(planned.engine.producer, planned.engine.control, planned.engine.doorbell, planned.clock)
        for _ in range(4)
    ]
    await asyncio.gather(*(one.step() for one in others))
    assert await planned.unfinished() == 60
    assert len(await planned.book.runs("reports", 1000)) == 60


async def test_a_clock_turned_back_creates_nothing_again(planned: Planned) -> None:
    await planned.put(overlap="allow")
    assert await planned.after(minutes=2) == ["12:01 missed", "12:02 created"]
    await planned.clock.advance(-600.0)
    await planned.put(cron="*/1 * * * *", overlap="allow")  # decides from the time that is now
    assert await planned.after(minutes=9, seconds=59) == [
        f"{11 + minute // 60}:{minute % 60:02d} missed" for minute in range(53, 61)
    ]
    assert await planned.unfinished() == 1


async def test_times_of_a_pause_are_not_made_up_for(planned: Planned) -> None:
    await planned.put(missed="all", overlap="allow")
    paused = await planned.book.pause("reports", "olga", "stocktaking")
    assert (paused.paused_by, paused.reason) == ("olga", "stocktaking")
    assert await planned.after(hours=1) == []
    resumed = await planned.book.resume("reports")
    assert (resumed.paused_at, resumed.reason) == (None, None)
    assert await planned.after(minutes=1) == ["13:01 created"]


async def test_a_task_that_cannot_be_created_is_told_and_the_schedule_goes_on(planned: Planned) -> None:
    await planned.put(overlap="allow")
    kept = dict(planned.engine.types)
    planned.engine.types.clear()
    gone = Scheduler(planned.engine.producer, planned.engine.control, planned.engine.doorbell, planned.clock)
    await planned.clock.advance(60.0)
    await gone.step()
    (run,) = await planned.book.runs("reports")
    assert (run.outcome, run.detail) == ("refused", "No service declares the task type 'report.build'.")
    planned.engine.types.update(kept)
    assert await planned.after(minutes=1) == ["12:02 created"]


async def test_what_cannot_be_kept_is_refused_and_changes_nothing(planned: Planned) -> None:
    await planned.put()
    for bad, error in (
        ({"cron": "61 * * * *"}, InvalidInput),
        ({"zone": "Mars/Olympus"}, InvalidInput),
        ({"params": [1]}, InvalidInput),
        ({"priority": 11}, InvalidInput),
    ):
        with pytest.raises(error):
            await planned.put(**{"cron": "0 0 * * *", **bad})  # type: ignore[arg-type]
    with pytest.raises(UnknownTaskType, match=r"report\.bild"):
        await planned.book.put(NewSchedule(name="reports", cron="0 0 * * *", task_type="report.bild"), "olga")
    assert (await planned.book.get("reports")).cron == "* * * * *"
    for verb in (planned.book.get, planned.book.resume, planned.book.delete):
        with pytest.raises(ScheduleNotFound):
            await verb("nothing")


async def test_a_task_asked_for_now_and_a_schedule_forgotten(planned: Planned) -> None:
    await planned.put("0 0 1 1 *")
    asked = await planned.scheduler.run_now("reports", "olga")
    await planned.clock.advance(1.0)
    again = await planned.scheduler.run_now("reports", "olga")
    assert asked.last_task != again.last_task
    assert await planned.unfinished() == 2
    await planned.book.delete("reports")
    assert await planned.book.all() == []
    assert await planned.unfinished() == 2


async def test_the_duty_decides_when_a_time_comes_and_when_a_schedule_is_made(engine: Engine) -> None:
    engine.declare(build)
    book = ScheduleBook(engine.producer, engine.doorbell)
    scheduler = Scheduler(engine.producer, engine.control, engine.doorbell)
    async with engine.running(scheduler), engine.worker():
        await asyncio.sleep(0.3)  # it waits for half a minute now, unless it is told
        await book.put(NewSchedule(name="often", cron="* * * * *", task_type="report.build"), "olga")
        soon = "update task_schedule set next_at = now(), decided_to = now() - interval '61 seconds'"
        async with engine.pool.transaction() as tx:
            await tx.execute(soon)
        await book.put(NewSchedule(name="often", cron="* * * * *", task_type="report.build"), "olga")
        schedule = await engine.until(lambda: _with_task(book))
        await engine.finished(schedule.last_task)


async def _with_task(book: ScheduleBook) -> Any:
    schedule = await book.get("often")
    return schedule if schedule.last_task else None


T = [START + timedelta(minutes=minute) for minute in range(4)]


@pytest.mark.parametrize(
    ("times", "options", "expected"),
    [
        (T[:1], {"busy": True, "overlap": "skip"}, ["overlapped"]),
        (T[:1], {"busy": True, "overlap": "allow"}, ["create"]),
        (T[:1], {"busy": True, "overlap": "cancel"}, ["replace"]),
        (T[:1], {"overlap": "cancel"}, ["create"]),
        (T[:3], {"overlap": "skip", "missed": "all"}, ["create", "overlapped", "overlapped"]),
        (T[:3], {"overlap": "cancel", "missed": "all"}, ["overlapped", "overlapped", "create"]),
        (T[:3], {"overlap": "allow", "missed": "once", "late": True}, ["missed", "missed", "create"]),
        (T[:3], {"overlap": "allow", "missed": "once", "late": True, "more": True}, ["missed"] * 3),
        (T[:3], {"overlap": "allow", "missed": "skip", "late": True}, ["missed"] * 3),
        ([], {"overlap": "skip"}, []),
    ],
)
def test_decisions(times: Sequence[datetime], options: dict[str, Any], expected: list[str]) -> None:
    late = options.pop("late", False)
    now = T[3] + timedelta(hours=1) if late else (times[-1] if times else START)
    given = {"missed": "once", "busy": False, "grace_seconds": 600.0, **options}
    assert decide(times, now, **given) == [
        Decision(due, what) for due, what in zip(times, expected, strict=True)
    ]  # type: ignore[arg-type]

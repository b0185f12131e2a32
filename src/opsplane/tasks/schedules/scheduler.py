"""The scheduler: creates the task of every time that has come, in the transaction that notes the time as decided."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from opsplane.clock import SYSTEM, Clock
from opsplane.database import Connection, Doorbell, Leader, Pool, after_commit, sql
from opsplane.errors import OpsplaneError
from opsplane.resilience import Stop
from opsplane.tasks import channels
from opsplane.tasks.control import TaskControl
from opsplane.tasks.errors import TaskNotFound
from opsplane.tasks.events import Happened, append_events
from opsplane.tasks.producer import Producer
from opsplane.tasks.schedules.book import schedule_of, unknown
from opsplane.tasks.schedules.cron import Cron
from opsplane.tasks.schedules.decide import Decision, decide
from opsplane.tasks.schedules.schedule import Outcome, Schedule
from opsplane.tasks.states import IllegalTransition
from opsplane.telemetry import counter, get_logger

log = get_logger("tasks")
_runs = counter(
    "task_schedule_runs_total", "Times of schedules, by what was decided.", ["schedule", "outcome"]
)
LONGEST_WAIT = 30.0
MOST = 500
HOUSEKEEPING = 3600.0
_OVERLAPPED = {"skip": "the task before was unfinished", "cancel": "a later time had come as well"}


class Scheduler:
    """A duty; any number may run, one of them acts. `clock` is what the times of schedules are held against."""

    name = "task scheduler"

    def __init__(
        self, producer: Producer, control: TaskControl, doorbell: Doorbell, clock: Clock = SYSTEM
    ) -> None:
        self._producer = producer
        self._pool: Pool = producer.pool
        self._control = control
        self._doorbell = doorbell
        self._clock = clock
        self._clean_at = 0.0

    async def run(self, stop: Stop) -> None:
        """Decide every time when it comes, until `stop`."""
        leader = Leader(self._pool.dsn, self.name)
        async with (
            leader.hold(stop) as leading,
            self._doorbell.listen(channels.SCHEDULES) as bell,
            bell.rung_at(stop),
        ):
            while leading and not stop.is_set() and await leader.still():
                await self.step()
                await self._keep_house()
                await bell.wait(await self._pause())

    async def step(self) -> int:
        """How many times were decided now."""
        decided = 0
        while count := await self._decide_one():
            decided += count
        return decided

    async def run_now(self, name: str, actor: str) -> Schedule:
        """The schedule, its task created now, whatever its policies say; raises what `Producer.create` raises."""
        async with self._pool.transaction() as tx:
            row = await (await tx.execute(sql(__package__, "lock_schedule"), [name])).fetchone()
            if row is None:
                raise unknown(name)
            schedule, now = schedule_of(row), self._clock.now()
            task_id = await self._create(tx, schedule, now, actor)
            await self._note(tx, schedule, now, "created", task_id, f"asked for by {actor}")
            changed = await self._advance(tx, schedule, schedule.decided_to, schedule.next_at, task_id)
        return schedule_of(changed)

    async def _decide_one(self) -> int:
        """How many times of one schedule were decided; 0 when none of any has come."""
        async with self._pool.transaction() as tx:
            now = self._clock.now()
            row = await (await tx.execute(sql(__package__, "lock_due_schedule"), {"now": now})).fetchone()
            if row is None:
                return 0
            schedule = schedule_of(row)
            come, later = _come(schedule, now)
            decisions = decide(
                come,
                now,
                overlap=schedule.overlap,
                missed=schedule.missed,
                grace_seconds=schedule.grace_seconds,
                busy=row["busy"],
                more=later is not None and later <= now,
            )
            last = None
            for decision in decisions:
                last = await self._follow(tx, schedule, decision, last or schedule.last_task) or last
            await self._advance(tx, schedule, come[-1] if come else now, later, last)
        return max(1, len(come))

    async def _follow(
        self, tx: Connection, schedule: Schedule, decision: Decision, last: str | None
    ) -> str | None:
        """The id of the task that was created, where one was."""
        known = await tx.execute(sql(__package__, "is_decided"), [schedule.name, decision.due_at])
        if await known.fetchone() is not None:
            return None  # the clock was turned back
        if decision.outcome in ("overlapped", "missed"):
            why = (
                "nobody decided it in time" if decision.outcome == "missed" else _OVERLAPPED[schedule.overlap]
            )
            await self._note(tx, schedule, decision.due_at, decision.outcome, None, why)
            return None
        if decision.outcome == "replace" and last is not None:
            await self._cancel(last, schedule)
        try:
            async with tx.transaction():
                task_id = await self._create(tx, schedule, decision.due_at, f"schedule {schedule.name}")
        except OpsplaneError as error:  # its type is declared no more, its parameters fit no more
            log.warning("tasks.schedule_refused", schedule=schedule.name, error=error.message)
            await self._note(tx, schedule, decision.due_at, "refused", None, error.message[:500])
            return None
        await self._note(tx, schedule, decision.due_at, "created", task_id, None)
        return task_id

    async def _cancel(self, task_id: str, schedule: Schedule) -> None:
        try:
            await self._control.cancel(task_id, f"schedule {schedule.name}")
        except (TaskNotFound, IllegalTransition):
            log.debug("tasks.schedule_replaces_nothing", task=task_id)  # it ended meanwhile

    async def _create(self, tx: Connection, schedule: Schedule, due: datetime, actor: str) -> str:
        task = await self._producer.create(tx, schedule.task())
        detail = {"schedule": schedule.name, "dueAt": due.isoformat()}
        await append_events(tx, [Happened(task.id, task.created_at, "scheduled_by", None, actor, detail)])
        return task.id

    async def _note(
        self,
        tx: Connection,
        schedule: Schedule,
        due: datetime,
        outcome: Outcome,
        task_id: str | None,
        why: str | None,
    ) -> None:
        facts = {"schedule": schedule.name, "due_at": due, "at": self._clock.now(), "outcome": outcome}
        await tx.execute(sql(__package__, "insert_run"), {**facts, "task_id": task_id, "detail": why})
        after_commit(tx, partial(_tell, schedule.name, due, outcome, task_id))

    async def _advance(
        self, tx: Connection, schedule: Schedule, to: datetime, upcoming: datetime | None, last: str | None
    ) -> Mapping[str, Any] | None:
        facts = {"name": schedule.name, "decided_to": to, "next_at": upcoming, "last_task": last}
        return await (await tx.execute(sql(__package__, "advance_schedule"), facts)).fetchone()

    async def _pause(self) -> float:
        row = await self._pool.fetch_one(sql(__package__, "next_schedule"), {"now": self._clock.now()})
        due = row["seconds"] if row else None
        return LONGEST_WAIT if due is None else min(LONGEST_WAIT, max(0.01, due))

    async def _keep_house(self) -> None:
        if self._clock.monotonic() >= self._clean_at:
            await self._pool.execute(sql(__package__, "forget_runs"))
            self._clean_at = self._clock.monotonic() + HOUSEKEEPING


def _come(schedule: Schedule, now: datetime) -> tuple[list[datetime], datetime | None]:
    """The times that have come since the last decided, at most `MOST`, and the one after them."""
    come: list[datetime] = []
    for due in Cron(schedule.cron, schedule.zone).after(schedule.decided_to):
        if due > now or len(come) == MOST:
            return come, due
        come.append(due)
    return come, None


def _tell(schedule: str, due: datetime, outcome: Outcome, task_id: str | None) -> None:
    _runs.labels(schedule, outcome).inc()
    tell = log.info if outcome == "created" else log.warning
    tell("tasks.schedule_decided", schedule=schedule, due=due.isoformat(), outcome=outcome, task=task_id)

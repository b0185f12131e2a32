"""The schedules in the operations database: kept, read, paused, deleted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from opsplane.clock import SYSTEM, Clock
from opsplane.database import Connection, Doorbell, Pool, after_commit, sql
from opsplane.errors import NotFound
from opsplane.tasks import channels
from opsplane.tasks.producer import Producer
from opsplane.tasks.schedules.cron import Cron
from opsplane.tasks.schedules.schedule import NewSchedule, Schedule, ScheduleRun


class ScheduleNotFound(NotFound):
    """There is no schedule of this name."""


class ScheduleBook:
    """What operators do with schedules. The scheduler is told of every change at once."""

    def __init__(self, producer: Producer, doorbell: Doorbell | None = None, clock: Clock = SYSTEM) -> None:
        self._producer = producer
        self._pool: Pool = producer.pool
        self._doorbell = doorbell
        self._clock = clock

    async def put(self, new: NewSchedule, actor: str) -> Schedule:
        """The schedule, made or changed. Times before now are not made up for when its times changed.

        Raises `InvalidInput` for a bad expression or zone and for parameters that do not fit, `UnknownTaskType`.
        """
        cron, now = Cron(new.cron, new.zone), self._clock.now()
        new = msgspec.structs.replace(new, cron=cron.expression)
        kind = self._producer.type_of(new.task())
        params = kind.encode_params(new.params)
        facts = {**msgspec.structs.asdict(new), "params": params, "actor": actor, "now": now}
        async with self._pool.transaction() as tx:
            row = await _one(tx, "put_schedule", {**facts, "next_at": next(cron.after(now), None)})
            self._ring(tx)
        return schedule_of(row)

    async def get(self, name: str) -> Schedule:
        """The schedule; raises `ScheduleNotFound`."""
        row = await self._pool.fetch_one(sql(__package__, "get_schedule"), [name])
        if row is None:
            raise unknown(name)
        return schedule_of(row)

    async def all(self) -> list[Schedule]:
        """All schedules, by name."""
        return [schedule_of(row) for row in await self._pool.fetch(sql(__package__, "list_schedules"))]

    async def runs(self, name: str, limit: int = 20) -> list[ScheduleRun]:
        """What was decided last, the latest time first."""
        rows = await self._pool.fetch(sql(__package__, "list_runs"), [name, limit])
        return [msgspec.convert(row, ScheduleRun) for row in rows]

    async def delete(self, name: str) -> None:
        """Forget the schedule; its tasks stay. Raises `ScheduleNotFound`."""
        if not await self._pool.execute(sql(__package__, "delete_schedule"), [name]):
            raise unknown(name)

    async def pause(self, name: str, actor: str, reason: str | None = None) -> Schedule:
        """The schedule, of which nothing is created until it is resumed. Raises `ScheduleNotFound`."""
        return await self._change("pause_schedule", {"name": name, "actor": actor, "reason": reason})

    async def resume(self, name: str) -> Schedule:
        """The schedule, from its next time on: those of its pause were not missed. Raises `ScheduleNotFound`."""
        schedule, now = await self.get(name), self._clock.now()
        upcoming = next(Cron(schedule.cron, schedule.zone).after(now), None)
        return await self._change("resume_schedule", {"name": name, "now": now, "next_at": upcoming})

    async def _change(self, statement: str, facts: Mapping[str, Any]) -> Schedule:
        async with self._pool.transaction() as tx:
            row = await _one(tx, statement, facts)
            if row is None:
                raise unknown(facts["name"])
            self._ring(tx)
        return schedule_of(row)

    def _ring(self, tx: Connection) -> None:
        if self._doorbell is not None:
            after_commit(tx, partial(self._doorbell.ring, channels.SCHEDULES))


def upcoming(schedule: Schedule, now: datetime, count: int = 5) -> list[datetime]:
    """The next times of a schedule, whether it is paused or not."""
    times = Cron(schedule.cron, schedule.zone).after(now)
    return [due for _, due in zip(range(count), times, strict=False)]


def schedule_of(row: Mapping[str, Any] | None) -> Schedule:
    """The schedule of a row of `task_schedule`."""
    return msgspec.convert(row, Schedule)


async def _one(tx: Connection, name: str, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    return await (await tx.execute(sql(__package__, name), parameters)).fetchone()


def unknown(name: str) -> ScheduleNotFound:
    """The error to be raised for a name no schedule has."""
    return ScheduleNotFound(
        f"There is no schedule {name}.", remedy="See: opsplane schedule ls", schedule=name
    )

"""The joiner: folds the counts of children, has parents go on when all are done, and cancels a cancelled parent's children."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from opsplane.clock import SYSTEM, Clock
from opsplane.database import Connection, Doorbell, Leader, Pool, after_commit, sql
from opsplane.resilience import Stop
from opsplane.tasks import channels
from opsplane.tasks.control import TaskControl
from opsplane.tasks.events import Happened, append_events
from opsplane.tasks.rows import task_of
from opsplane.tasks.states import Code
from opsplane.telemetry import get_logger

log = get_logger("tasks")
GAP = 0.1
POLL = 1.0
FOLD, JOIN, CANCEL = 10_000, 500, 200


class Joiner:
    """A duty; any number may run, one of them acts. A parent's row is written at most ten times a second."""

    name = "task joiner"

    def __init__(self, pool: Pool, control: TaskControl, doorbell: Doorbell, clock: Clock = SYSTEM) -> None:
        self._pool = pool
        self._control = control
        self._doorbell = doorbell
        self._clock = clock

    async def run(self, stop: Stop) -> None:
        """Join when children ended, and look once a second, until `stop`."""
        leader = Leader(self._pool.dsn, self.name)
        async with (
            leader.hold(stop) as leading,
            self._doorbell.listen(channels.TALLY) as bell,
            bell.rung_at(stop),
        ):
            while leading and await leader.still():
                await self.join()
                if await stop.wait(GAP):
                    return
                await bell.wait(POLL)

    async def join(self) -> int:
        """How many parents went on or ended, after all that children noted was counted."""
        while await self._fold() == FOLD:
            pass
        while await self._cancel_waiting() == CANCEL:
            pass
        await self._cancel_running()
        joined = 0
        while number := await self._join():
            joined += number
        return joined

    async def _fold(self) -> int:
        row = await self._pool.fetch_one(sql(__package__, "fold_tallies"), {"limit": FOLD})
        if row is None:
            return 0
        for task_id in row["shown"]:
            self._doorbell.ring(channels.PROGRESS, task_id)
        return int(row["folded"])

    async def _cancel_waiting(self) -> int:
        async with self._pool.transaction() as tx:
            rows = await _rows(tx, "lock_unwanted", {"limit": CANCEL})
            for row in rows:
                await self._control.finish(tx, task_of(row), Code.CANCELLED, actor=row["actor"])
        return len(rows)

    async def _cancel_running(self) -> None:
        async with self._pool.transaction() as tx:
            rows = await _rows(tx, "cancel_children", {})
            now = self._clock.now()
            await append_events(
                tx,
                [Happened(row["id"], now, "cancel_requested", row["attempt"], row["actor"]) for row in rows],
            )
            for row in rows:
                after_commit(tx, partial(self._doorbell.ring, channels.CONTROL, f"cancel {row['id']}"))

    async def _join(self) -> int:
        async with self._pool.transaction() as tx:
            rows = await _rows(tx, "lock_joinable", {"limit": JOIN})
            if not rows:
                return 0
            await tx.execute(sql(__package__, "close_fan_outs"), [[row["fan_out"] for row in rows]])
            await append_events(tx, [event for row in rows for event in self._past(row)])
            await self._resume(tx, [row for row in rows if row["cancel_requested_at"] is None])
            for row in rows:
                if row["cancel_requested_at"] is not None:
                    await self._control.finish(
                        tx, task_of(row), Code.CANCELLED, actor=row["cancel_requested_by"]
                    )
        log.info("tasks.joined", parents=len(rows))
        return len(rows)

    async def _resume(self, tx: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        await tx.execute(sql(__package__, "resume_parents"), [[row["id"] for row in rows]])
        for queue in {row["queue"] for row in rows}:
            after_commit(tx, partial(self._doorbell.ring, channels.CREATED, queue))
        for row in rows:
            after_commit(tx, partial(self._doorbell.ring, channels.PROGRESS, str(row["id"])))

    def _past(self, row: Mapping[str, Any]) -> list[Happened]:
        task_id, attempt = str(row["id"]), row["attempt"]
        detail = {name: row[name] for name in ("name", "total", "completed", "failed", "cancelled")}
        joined = Happened(task_id, self._clock.now(), "children_done", attempt, None, detail)
        if row["cancel_requested_at"] is not None:
            return [joined]  # its start is told by its row
        return [Happened(task_id, row["started_at"], "started", attempt, f"worker {row['worker']}"), joined]


async def _rows(tx: Connection, name: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    return await (await tx.execute(sql(__package__, name), parameters or None)).fetchall()

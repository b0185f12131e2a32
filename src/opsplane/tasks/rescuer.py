"""The rescuer: takes tasks from workers that died or hang, so that others run them.

A worker is dead when its lease can be taken, or when its beat has not moved for three minutes as seen by the
rescuer's own clock while itself connected (a half-open connection). A remote one is dead when its lease has ended by the
database's clock, and the rescuer has watched for as long as that lease: while it could not, no worker may have been
able to call. A task beyond its timeout is taken from a remote worker, far beyond it from a worker of the installation,
whose loop must hang.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import psycopg

from opsplane.database import Connection, Doorbell, Leader, Pool, after_commit, sql
from opsplane.events import Outbox
from opsplane.resilience import Stop
from opsplane.tasks import channels
from opsplane.tasks.completing import count_endings
from opsplane.tasks.errors import TimedOut, WorkerLost
from opsplane.tasks.lease import CLASS
from opsplane.tasks.outcome import FINAL, Ending, Outcome, outcome_of_error, outcome_of_row
from opsplane.tasks.sessions import open_session
from opsplane.tasks.settling import settle
from opsplane.tasks.task_type import TaskType
from opsplane.telemetry import counter, get_logger

log = get_logger("tasks")
POLL = 0.5
GRACE = 5.0
SILENCE = 180.0
RESCUES = 3
MARGIN = 10.0
BATCH = 1000
_rescued = counter("task_rescued_total", "Tasks taken from workers, by why.", ["reason"])


class Rescuer:
    """A duty; any number may run, one of them acts.

    After the connection or the server was gone, workers get `grace` seconds to take their leases again before any is
    believed dead. A task that lost its worker three times in a row without progress fails.
    """

    name = "task rescuer"

    def __init__(
        self,
        pool: Pool,
        types: Iterable[TaskType],
        *,
        doorbell: Doorbell,
        outbox: Outbox | None = None,
        grace: float = GRACE,
        silence: float = SILENCE,
    ) -> None:
        self._pool = pool
        self._types = {kind.name: kind for kind in types}
        self._doorbell = doorbell
        self._outbox = outbox
        self._grace = grace
        self._silence = silence
        self._interrupted = False
        self._beats: dict[int, tuple[int, float]] = {}

    async def run(self, stop: Stop) -> None:
        """Look twice a second until `stop`. Raises `psycopg.OperationalError` when the database goes; run it again."""
        leader = Leader(self._pool.dsn, self.name)
        try:
            async with leader.hold(stop) as leading:
                if leading:
                    async with await open_session(self._pool.dsn, "opsplane task rescuer") as session:
                        await self._watch(leader, session, stop)
        except psycopg.OperationalError:
            self._interrupted = True
            self._beats.clear()
            raise

    async def _watch(self, leader: Leader, session: Connection, stop: Stop) -> None:
        since = await self._wait_grace(session, stop)
        turn = 0
        while not await stop.wait(POLL) and await leader.still():
            await self._look(session)
            await self._end_leases(since)
            turn += 1
            if turn % 4 == 0:
                await self._overdue()

    async def _wait_grace(self, session: Connection, stop: Stop) -> datetime:
        """Since when, by the database's clock, workers can be heard again."""
        (row,) = await (await session.execute(sql(__package__, "postmaster_age"))).fetchall()
        await stop.wait(max(self._grace if self._interrupted else 0.0, self._grace - row["seconds"], 0.001))
        self._interrupted = False
        since: datetime = row["now"]
        return since

    async def _end_leases(self, since: datetime) -> None:
        """Rescue the tasks of remote workers that did not call in time, though they could since `since`."""
        reason = "its lease has ended"
        told = {"since": since, "reason": reason}
        for row in await self._pool.fetch(sql(__package__, "end_leases"), told):
            await self.rescue(row["number"], reason)

    async def _look(self, session: Connection) -> None:
        now = time.monotonic()
        rows = await (await session.execute(sql(__package__, "present_workers"), {"class": CLASS})).fetchall()
        for row in rows:
            number, beat = row["number"], row["beat"]
            if row["gone"]:
                try:
                    await self.rescue(number, "its lease is free")
                finally:
                    await session.execute("select pg_advisory_unlock(%s, %s)", [CLASS, number])
                continue
            seen = self._beats.get(number)
            if seen is None or seen[0] != beat:
                self._beats[number] = beat, now
            elif now - seen[1] > self._silence:
                await self.rescue(number, f"no beat for {self._silence:g} s")
        self._beats = {
            row["number"]: self._beats[row["number"]] for row in rows if row["number"] in self._beats
        }
        await self._take("lock_orphans", {}, partial(self._lost, "its worker is gone"), "worker_lost")

    async def rescue(self, worker: int, reason: str) -> int:
        """How many tasks were taken from the worker, which is noted as gone."""
        await self._pool.execute(sql(__package__, "worker_left"), {"number": worker, "reason": reason})
        taken = await self._take("lock_lost", {"worker": worker}, partial(self._lost, reason), "worker_lost")
        log.warning("tasks.worker_lost", worker=worker, reason=reason, tasks=taken)
        return taken

    async def _overdue(self) -> None:
        taken = await self._take("lock_overdue", {"margin": MARGIN}, self._late, "timeout")
        if taken:
            log.warning("tasks.overdue_taken", tasks=taken)

    async def _take(self, name: str, parameters: Mapping[str, Any], judge: Any, reason: str) -> int:
        taken = 0
        while True:
            async with self._pool.transaction() as tx:
                cursor = await tx.execute(sql(__package__, name), {**parameters, "limit": BATCH})
                rows = await cursor.fetchall()
                if not rows:
                    return taken
                outcomes = [judge(row) for row in rows]
                await settle(tx, self._outbox, outcomes)
                self._ring(tx, outcomes)
            count_endings(outcomes)
            _rescued.labels(reason).inc(len(rows))
            taken += len(rows)

    def _lost(self, reason: str, row: Mapping[str, Any]) -> Outcome:
        if row["cancelled"]:
            return outcome_of_row(row, ending=Ending.CANCELLED)
        lost = WorkerLost(
            f"Worker {row['worker']} was lost ({reason}) for the {row['rescues'] + 1}. time without progress."
        )
        told = {"error_kind": type(lost).__name__, "error_message": str(lost)}
        if row["rescues"] + 1 >= RESCUES:
            return outcome_of_row(row, ending=Ending.FAILED, **told)
        return outcome_of_row(row, ending=Ending.RESCUED, **told)

    def _late(self, row: Mapping[str, Any]) -> Outcome:
        if row["cancelled"]:
            return outcome_of_row(row, ending=Ending.CANCELLED)
        late = TimedOut(
            f"Attempt {row['attempt']} took longer than {row['timeout']:g} s, and its worker did not end it."
        )
        kind = self._types.get(row["task_type"])
        if kind is None:
            return outcome_of_row(row, ending=Ending.FAILED, error_kind="TimedOut", error_message=str(late))
        return outcome_of_row(row, **outcome_of_error(kind, row["retry_count"], row["max_retries"], late))

    def _ring(self, tx: Connection, outcomes: Sequence[Outcome]) -> None:
        for queue in {one.attempted.queue for one in outcomes if one.ending not in FINAL}:
            after_commit(tx, partial(self._doorbell.ring, channels.CREATED, queue))
        ids = " ".join(one.attempted.id for one in outcomes[:150])
        after_commit(tx, partial(self._doorbell.ring, channels.PROGRESS, ids))

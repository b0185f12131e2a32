"""The dispatcher: lets held tasks go as limits, turns and free workers allow.

settings → gone → arrived → read → choose → release. It works on the session that holds its leadership, so that a
dispatcher which is deposed can let nothing go: what it wrote last was committed before another could begin.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from opsplane.database import Doorbell, Leader, Pool
from opsplane.resilience import Stop
from opsplane.tasks import channels
from opsplane.tasks.limits.limit import Held, Limit, Line, held_by
from opsplane.tasks.limits.lines import Waiting
from opsplane.tasks.limits.places import Place, Places
from opsplane.tasks.limits.reader import Reader
from opsplane.tasks.limits.session import Session, ids_array
from opsplane.telemetry import counter, gauge, get_logger

log = get_logger("tasks")
STEP = 0.01  # between two looks while tasks are let go or end, longer while nothing moves
LONGEST_STEP = 0.1
POLL = 1.0
UNCLAIMED = 5.0
ROOM_SECONDS = 0.25  # what workers finish in this time may be let go beyond their slots
SWEEP_SHARE = 20.0
SWEEP_GAP = 1.0
BATCH = 10_000
_released = counter("tasks_released_total", "Held tasks that were let go.", ["queue"])
_taken = gauge("task_limit_taken", "Places taken under a limit.", ["kind", "name"])


class Out(NamedTuple):
    """A task that was let go and has a place: until it has ended, was put back or called back."""

    line: Line
    places: list[Place]
    since: float


class Dispatcher:
    """A duty; any number may run, one of them acts."""

    name = "task dispatcher"

    def __init__(self, pool: Pool, doorbell: Doorbell) -> None:
        self._pool = pool
        self._doorbell = doorbell

    async def run(self, stop: Stop) -> None:
        """Dispatch until `stop`. Raises `psycopg.OperationalError` when the database goes; run it again."""
        leader = Leader(self._pool.dsn, self.name)
        async with (
            leader.hold(stop) as leading,
            self._doorbell.listen(channels.CREATED) as created,
            self._doorbell.listen(channels.CONTROL) as control,
            created.rung_at(stop),
            control.rung_at(stop),
        ):
            if not leading:
                return
            watch, pause = Dispatch(await Session.of(leader.session), self._doorbell), STEP
            while not stop.is_set():
                moved = await watch.step()
                pause = STEP if moved else min(LONGEST_STEP, 1.2 * pause)
                if moved:
                    await asyncio.sleep(STEP)
                    continue
                told = await (created if watch.holding else control).wait(pause if watch.busy else POLL)
                if "" in told or "limits" in told:
                    watch.settle_now()


class Dispatch:
    """One leadership of a dispatcher: everything it knows, rebuilt from the tables."""

    def __init__(self, session: Session, doorbell: Doorbell) -> None:
        self._session = session
        self._doorbell = doorbell
        self._reader = Reader(session)
        self._places = Places()
        self._held = Held((), (), (), False)
        self._paused: frozenset[str] = frozenset()
        self._fair: frozenset[str] = frozenset()
        self._types: frozenset[str] = frozenset()
        self._slots = 0
        self._out: dict[str, Out] = {}
        self._by_queue: Counter[str] = Counter()
        self._pace = 0.0
        self._looked = self._recalled = time.monotonic()
        self._settled = self._swept = -SWEEP_GAP

    @property
    def holding(self) -> bool:
        """Whether anything is limited at all."""
        return bool(self._held)

    @property
    def busy(self) -> bool:
        """Whether there is something to look after without being told."""
        return bool(self._out) or self._reader.waiting

    def settle_now(self) -> None:
        """Read the settings at the next step: they changed."""
        self._settled = -POLL

    async def step(self) -> bool:
        """One look; whether tasks ended or were let go."""
        now = time.monotonic()
        if now - self._settled >= POLL:
            await self._settle(now)
        if not self._held and not self._reader.knows_lines and now < self._swept:
            return False
        moved = await self._take_back(now)
        if now >= self._swept:
            await self._sweep()
        await self._reader.read()
        return await self._release(now) or moved

    async def _settle(self, now: float) -> None:
        limits = [Limit(**row) for row in await self._session.rows("list_limits")]
        queues = await self._session.rows("read_queues")
        (able,) = await self._session.rows("read_workers")
        self._slots, self._types = able["slots"], frozenset(able["types"])
        self._paused = frozenset(row["name"] for row in queues if row["paused"])
        fair = frozenset(row["name"] for row in queues if row["fair"])
        if tuple(limits) != self._places.limits or fair != self._fair:
            self._change(limits, fair, now)
        for limit, taken in self._places.taken():
            _taken.labels(limit.kind, limit.name).set(taken)
        self._settled = now

    def _change(self, limits: list[Limit], fair: frozenset[str], now: float) -> None:
        log.info("tasks.limits_changed", limits=len(limits), fair=len(fair))
        places = Places(limits, now)
        places.keep(self._places)
        kept = {id(place) for place in places.all()}
        for task_id, out in self._out.items():
            self._out[task_id] = out._replace(places=places.of(out.line))
            for place in self._out[task_id].places:
                if id(place) not in kept:
                    place.taken += 1
        self._places, self._fair, self._held = places, fair, held_by(limits, fair)
        self._reader.renew(places, fair)
        self._swept = now

    async def _sweep(self) -> None:
        """Find what no bell told of: tasks of a limit that is new or gone, of a dispatcher before, below the marks."""
        began = time.monotonic()
        known = {"known": ids_array(self._out), **self._held.parameters()}
        if self._held:
            await self._session.rows("hold_tasks", known)
            for row in await self._session.rows("find_running", known):
                line = Line(row["queue"], row["tenant"], row["task_type"])
                places = self._places.of(line)
                for place in places:
                    place.taken += 1
                self._note(row["id"], Out(line, places, began))
        freed = await self._session.rows("free_tasks", {**self._held.parameters(), "limit": BATCH})
        self._ring(row["queue"] for row in freed)
        await self._reader.sweep()
        took = time.monotonic() - began
        self._swept = began + took + (0.0 if len(freed) == BATCH else max(SWEEP_GAP, SWEEP_SHARE * took))

    async def _take_back(self, now: float) -> bool:
        """Whether tasks ended, whose places are given back; those that no worker claims are called back."""
        gone = await self._session.rows("find_gone", {"ids": ids_array(self._out)}) if self._out else []
        for row in gone:
            self._give(row["id"])
        took = max(now - self._looked, STEP)
        self._pace += min(1.0, 2 * took) * (len(gone) / took - self._pace)
        self._looked = now
        if now - self._recalled >= POLL:
            self._recalled = now
            await self._recall(now)
        return bool(gone)

    async def _recall(self, now: float) -> None:
        late = [
            task_id
            for task_id, out in self._out.items()
            if out.line.queue in self._paused or now - out.since > UNCLAIMED
        ]
        if not late:
            return
        for row in await self._session.rows("recall_tasks", {"ids": ids_array(late)}):
            out = self._give(row["id"])
            self._reader.put(out.line, Waiting(row["prio"], row["run_at"], row["id"]))
        for task_id in late:
            if task_id in self._out:  # it runs: there is nothing to call back
                self._out[task_id] = self._out[task_id]._replace(since=now + 3600.0)

    async def _release(self, now: float) -> bool:
        """Whether tasks were let go."""
        chosen = [
            choice
            for queue, row in self._reader.rows.items()
            if row and queue not in self._paused
            for choice in row.choose(self._room(queue), now, self._types)
        ]
        if not chosen:
            return False
        ids = ids_array(choice.task.id for choice in chosen)
        done = {row["id"] for row in await self._session.rows("release_tasks", {"ids": ids})}
        for reading, task in chosen:
            self._reader.took(reading)
            self._note(task.id, Out(reading.line, reading.places, now))
            if task.id not in done:  # cancelled meanwhile
                self._give(task.id)
        for queue, count in Counter(reading.line.queue for reading, _ in chosen).items():
            _released.labels(queue).inc(count)
        self._ring(reading.line.queue for reading, _ in chosen)
        return bool(done)

    def _note(self, task_id: str, out: Out) -> None:
        if task_id in self._out:  # it was put back, which was not seen yet
            self._give(task_id)
        self._out[task_id] = out
        self._by_queue[out.line.queue] += 1

    def _give(self, task_id: str) -> Out:
        out = self._out.pop(task_id)
        self._by_queue[out.line.queue] -= 1
        for place in out.places:
            place.taken -= 1
        return out

    def _room(self, queue: str) -> int:
        return max(0, self._slots + int(self._pace * ROOM_SECONDS) - self._by_queue[queue])

    def _ring(self, queues: Iterable[str]) -> None:
        for queue in set(queues):
            self._doorbell.ring(channels.CREATED, queue)

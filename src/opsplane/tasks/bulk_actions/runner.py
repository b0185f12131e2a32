"""The runner of bulk actions: batch by batch, each a transaction with its counts; it goes on where another stopped.

pick → lock → find → act → count → next. It runs in the operations role, not on workers: an action on tasks must not
wait for the places that those tasks take.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec
import psycopg

from opsplane.clock import SYSTEM, Clock
from opsplane.database import Connection, Doorbell, Leader, Pool, sql
from opsplane.errors import Unavailable
from opsplane.events import Outbox
from opsplane.resilience import Stop
from opsplane.tasks import channels
from opsplane.tasks.bulk_actions.bells import Ring, ring_changed, ringing
from opsplane.tasks.bulk_actions.cancelling import cancel_batch
from opsplane.tasks.bulk_actions.matching import ids_after, still_there
from opsplane.tasks.bulk_actions.place import TASKS, Did, Place, find_place, keep_place
from opsplane.tasks.bulk_actions.retrying import retry_batch
from opsplane.tasks.bulk_actions.wanted import NAME, QUEUE, BulkParams
from opsplane.tasks.outcome import Attempted, Ending, Outcome
from opsplane.tasks.settling import settle
from opsplane.telemetry import get_logger

log = get_logger("tasks")
BATCH = 500
POLL = 1.0
AGAIN = 0.1  # between two looks at tasks that other transactions have
PATIENCE = 30.0
NAMED = 20
_UNREACHABLE = (psycopg.OperationalError, psycopg.InterfaceError, Unavailable)
_FACTS = frozenset(Attempted.__struct_fields__)


class BulkRunner:
    """A duty; any number may run, one of them acts. Tasks that another transaction has are given `patience` seconds."""

    name = "bulk actions"

    def __init__(
        self,
        pool: Pool,
        outbox: Outbox | None,
        doorbell: Doorbell,
        *,
        batch: int = BATCH,
        patience: float = PATIENCE,
        clock: Clock = SYSTEM,
    ) -> None:
        self._pool = pool
        self._outbox = outbox
        self._doorbell = doorbell
        self._batch = batch
        self._patience = patience
        self._clock = clock

    async def run(self, stop: Stop) -> None:
        """Do bulk actions until `stop`. Raises `psycopg.OperationalError` when the database goes; run it again."""
        leader = Leader(self._pool.dsn, self.name)
        async with (
            leader.hold(stop) as leading,
            self._doorbell.listen(channels.BULK) as bell,
            bell.rung_at(stop),
        ):
            while leading and not stop.is_set() and await leader.still():
                if not await self.step(stop):
                    await bell.wait(POLL)

    async def step(self, stop: Stop) -> bool:
        """Whether there was a bulk action to go on with, which is done now, or interrupted by `stop`."""
        told = {"kind": NAME, "queue": QUEUE}
        row = await self._pool.fetch_one(sql(__package__, "pick_bulk"), told)
        if row is None:
            return False
        run = _Run(row)
        log.info("tasks.bulk_began", task=run.attempted.id, attempt=run.attempted.attempt)
        try:
            while not stop.is_set() and await self._advance(run):
                if run.waits and await stop.wait(AGAIN):
                    break
        except _UNREACHABLE:
            raise
        except Exception as error:
            log.exception("tasks.bulk_failed", task=run.attempted.id)
            await self._fail(run, error)
        return True

    async def _advance(self, run: _Run) -> bool:
        """Whether there is more to do after one more batch."""
        async with self._pool.transaction() as tx:
            held = await (await tx.execute(sql(__package__, "lock_bulk"), run.claim)).fetchone()
            if held is None:
                return False
            place = await find_place(tx, run.attempted.id)
            if held["cancel_requested_at"] is not None:
                await self._end(tx, run, place, Ending.CANCELLED)
                return False
            if place.walked and not place.left:
                await self._end(tx, run, place, Ending.COMPLETED)
                return False
            place = await self._go(tx, run, place)
            await keep_place(tx, run.attempted.id, run.attempted.attempt, run.began, place)
            await self._tell(tx, run, place)
            return True

    async def _go(self, tx: Connection, run: _Run, place: Place) -> Place:
        """The place after one more batch: of tasks not seen before, or of those that others had."""
        ring = ringing(tx, self._doorbell)
        again = place.walked or len(place.left) >= self._batch
        if again:
            ids = list(place.left[: self._batch])
        else:
            ids = await ids_after(tx, run.asked, place.after, self._batch)
        did = await self._act(tx, run, ring, ids)
        rest = [task_id for task_id in ids if task_id not in did.ids]
        there = await still_there(tx, run.asked, rest) if rest else set()
        run.waits = again and len(there) == len(ids)
        if run.out_of_patience(self._patience):
            there = set()
        left = tuple(task_id for task_id in rest if task_id in there)
        ring_changed(ring, did.ids - set(did.refused))
        await self._name_refused(tx, run, did)
        return msgspec.structs.replace(
            place.plus(did, skipped=len(rest) - len(left)),
            after=place.after if again or not ids else ids[-1],
            walked=place.walked or (not again and len(ids) < self._batch),
            left=(*place.left[self._batch :], *left) if again else (*place.left, *left),
        )

    async def _act(self, tx: Connection, run: _Run, ring: Ring, ids: list[str]) -> Did:
        if not ids:
            return Did()
        if run.asked.action == "cancel":
            return await cancel_batch(tx, self._outbox, self._clock, ring, run.asked, ids)
        return await retry_batch(tx, self._clock, ring, run.asked, ids)

    async def _tell(self, tx: Connection, run: _Run, place: Place) -> None:
        told = {
            **run.claim,
            "total": max(run.asked.matched, place.visited),
            "processed": place.visited,
            "failed": place.refused,
            "message": f"{len(place.left)} wait for other transactions" if place.left else None,
        }
        await tx.execute(sql(TASKS, "write_progress"), told)
        ring_changed(ringing(tx, self._doorbell), [run.attempted.id])

    async def _name_refused(self, tx: Connection, run: _Run, did: Did) -> None:
        if not did.refused:
            return
        fields = {"tasks": did.refused[:NAMED], "count": len(did.refused)}
        told: dict[str, Any] = {
            "ids": [run.attempted.id],
            "ats": [self._clock.now()],
            "levels": ["warning"],
            "messages": ["not retried: another unfinished task has the unique key"],
            "fields": [msgspec.json.encode(fields).decode()],
        }
        await tx.execute(sql(TASKS, "insert_logs"), told)

    async def _end(self, tx: Connection, run: _Run, place: Place, ending: Ending, **facts: Any) -> None:
        outcome = Outcome(
            attempted=run.attempted,
            ending=ending,
            total=max(run.asked.matched, place.visited),
            done=place.visited,
            failed=place.refused,
            result=place.result(run.asked.action, run.asked.matched),
            **facts,
        )
        await settle(tx, self._outbox, [outcome])
        ring_changed(ringing(tx, self._doorbell), [run.attempted.id])
        log.info("tasks.bulk_ended", task=run.attempted.id, ending=ending.value, visited=place.visited)

    async def _fail(self, run: _Run, error: Exception) -> None:
        async with self._pool.transaction() as tx:
            place = await find_place(tx, run.attempted.id)
            told = {"error_kind": type(error).__name__, "error_message": str(error)[:2000]}
            await self._end(tx, run, place, Ending.FAILED, **told)


class _Run:
    """One attempt at a bulk action."""

    def __init__(self, row: dict[str, Any]) -> None:
        facts = {name: row[name] for name in _FACTS if name in row}
        self.attempted = msgspec.convert({**facts, "worker": None}, Attempted)
        self.claim = {"id": row["id"], "token": row["token"]}
        self.asked = msgspec.json.decode(row["params"], type=BulkParams)
        self.began = row["started_at"]
        self.waits = False  # the last batch did nothing: other transactions have all of it
        self._moved = time.monotonic()

    def out_of_patience(self, patience: float) -> bool:
        """Whether nothing has moved for so many seconds."""
        if not self.waits:
            self._moved = time.monotonic()
        return time.monotonic() - self._moved > patience

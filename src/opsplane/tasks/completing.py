"""Completions in batches: at most 5 ms or 200 of them wait for each other; a batch that fails is halved."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import psycopg

from opsplane.database import Connection, Doorbell, Pool, after_commit, sql
from opsplane.errors import Unavailable
from opsplane.events import Outbox
from opsplane.resilience import Backoff
from opsplane.tasks import channels
from opsplane.tasks.outcome import FINAL, Ending, Outcome
from opsplane.tasks.settling import settle
from opsplane.telemetry import counter, get_logger

log = get_logger("tasks")
BATCH = 200
GATHER = 0.005
_UNREACHABLE = (psycopg.OperationalError, psycopg.InterfaceError, Unavailable)
_ended = counter(
    "tasks_completed_total", "Attempts that ended, by what became of their task.", ["type", "status"]
)
_refused = counter("tasks_fenced_total", "Write-backs refused because the task had been taken away.")


class Completer:
    """Writes outcomes; each is committed, refused by its fence, or tried again while the database is away."""

    def __init__(self, pool: Pool, outbox: Outbox | None, doorbell: Doorbell | None) -> None:
        self._pool = pool
        self._outbox = outbox
        self._doorbell = doorbell
        self._waiting: list[Outcome] = []
        self._writing: Sequence[Outcome] = ()
        self._written: list[tuple[int, asyncio.Future[None]]] = []
        self._filled = asyncio.Event()
        self._put = 0
        self._done = 0
        self._closing = False

    @property
    def backlog(self) -> int:
        """Outcomes not yet committed."""
        return self._put - self._done

    def tokens(self) -> list[int]:
        """The claim tokens of outcomes not yet committed."""
        return [outcome.attempted.token for outcome in (*self._writing, *self._waiting)]

    def put(self, outcome: Outcome) -> None:
        """Have the outcome written soon."""
        self._waiting.append(outcome)
        self._put += 1
        self._filled.set()

    async def written(self) -> None:
        """Return when everything put so far is committed."""
        if self._done >= self._put:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._written.append((self._put, future))
        await future

    async def run(self) -> None:
        """Write until `close`, and what is left then."""
        while not (self._closing and not self._waiting):
            await self._filled.wait()
            self._filled.clear()
            if len(self._waiting) < BATCH and not self._closing:
                await asyncio.sleep(GATHER)
            while self._waiting:
                self._writing, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                await self._write(self._writing)
                self._done += len(self._writing)
                self._writing = ()
                self._tell()

    def close(self) -> None:
        """End `run` when all is written."""
        self._closing = True
        self._filled.set()

    def _tell(self) -> None:
        for number, future in self._written:
            if number <= self._done and not future.done():
                future.set_result(None)
        self._written = [(number, future) for number, future in self._written if not future.done()]

    async def _write(self, batch: Sequence[Outcome]) -> None:
        backoff, failures = Backoff(0.05, 2.0), 0
        while True:
            try:
                await self._transact(batch)
            except _UNREACHABLE as error:
                failures += 1
                log.warning("tasks.completion_delayed", error=str(error), outcomes=len(batch))
                await asyncio.sleep(backoff.delay(failures))
                continue
            except psycopg.Error as error:
                await self._halve(batch, error)
            return

    async def _halve(self, batch: Sequence[Outcome], error: psycopg.Error) -> None:
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._write(batch[:middle])
            await self._write(batch[middle:])
            return
        outcome = batch[0]
        log.error("tasks.completion_refused", task=outcome.attempted.id, error=str(error))
        if outcome.ending is Ending.FAILED and outcome.error_kind == "ResultRefused":
            return  # not even that could be written: the rescuer will find the task overdue
        await self._write(
            [
                Outcome(
                    attempted=outcome.attempted,
                    ending=Ending.FAILED,
                    delay=outcome.delay,
                    error_kind="ResultRefused",
                    error_message=f"The outcome could not be written: {error}",
                )
            ]
        )

    async def _transact(self, batch: Sequence[Outcome]) -> None:
        plain = [outcome for outcome in batch if outcome.plain]
        others = [outcome for outcome in batch if not outcome.plain]
        held = 0
        async with self._pool.transaction() as tx:
            if plain:
                held += await self._complete(tx, plain)
            if others:
                held += len(await settle(tx, self._outbox, others))
                ring_endings(tx, self._doorbell, others)
        if held < len(batch):
            count_fenced(len(batch) - held)
        count_endings(batch)

    async def _complete(self, tx: Connection, plain: Sequence[Outcome]) -> int:
        parameters = {
            "ids": [one.attempted.id for one in plain],
            "tokens": [one.attempted.token for one in plain],
            "delays": [one.delay for one in plain],
        }
        row = await (await tx.execute(sql(__package__, "complete_tasks"), parameters)).fetchone()
        return int(row["finished"]) if row else 0


def ring_endings(tx: Connection, doorbell: Doorbell | None, outcomes: Sequence[Outcome]) -> None:
    """Wake whoever waits for what the outcomes change, when `tx` has committed."""
    if doorbell is None:
        return
    ring: Callable[[str, str], None] = doorbell.ring
    for queue in {one.attempted.queue for one in outcomes if one.ending not in FINAL and one.pause == 0}:
        after_commit(tx, partial(ring, channels.CREATED, queue))
    if any(one.attempted.parent_id for one in outcomes):
        after_commit(tx, partial(ring, channels.TALLY, ""))
    ids = " ".join(one.attempted.id for one in outcomes)
    after_commit(tx, partial(ring, channels.PROGRESS, ids))


def count_fenced(number: int) -> None:
    """Count and log write-backs that were refused by their fence."""
    _refused.inc(number)
    log.warning("tasks.fenced", refused=number)


def count_endings(outcomes: Sequence[Outcome]) -> None:
    """Count attempts that ended, by type and what became of the task."""
    for (kind, ending), number in Counter(
        (one.attempted.task_type, one.ending.value) for one in outcomes
    ).items():
        _ended.labels(kind, ending).inc(number)

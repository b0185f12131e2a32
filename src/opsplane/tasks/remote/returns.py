"""What remote workers write back: progress, log lines and ends, each in one transaction and fenced by its claim."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from opsplane.clock import SYSTEM
from opsplane.database import Connection, Doorbell, Pool, after_commit, sql
from opsplane.errors import Denied
from opsplane.events import Outbox
from opsplane.tasks import channels
from opsplane.tasks.announce import begun_event, publish, wanted
from opsplane.tasks.completing import count_endings, count_fenced, ring_endings
from opsplane.tasks.context import Claim
from opsplane.tasks.errors import Fenced, TaskNotFound
from opsplane.tasks.ids import is_id
from opsplane.tasks.outcome import Ending, Outcome, attempted, outcome_of_row
from opsplane.tasks.rows import task_of
from opsplane.tasks.settling import settle
from opsplane.tasks.task import Task
from opsplane.tasks.timing import observe_run

TASKS = "opsplane.tasks"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a remote handler's log."""

    message: str
    level: str = "info"
    fields: dict[str, Any] | None = None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """How far a remote handler is; None is what it does not tell."""

    total: int | None = None
    processed: int | None = None
    failed: int | None = None
    message: str | None = None


class Returns:
    """Writes for remote workers; `owner` is the subject who calls, and may write only for workers of their own."""

    def __init__(self, pool: Pool, outbox: Outbox | None, doorbell: Doorbell) -> None:
        self._pool = pool
        self._outbox = outbox
        self._doorbell = doorbell

    async def begin(self, claims: Sequence[Claim]) -> None:
        """Write and publish the start of attempts that were just claimed."""
        nothing = [None for _ in claims]
        told = {
            "ids": [claim.id for claim in claims],
            "tokens": [claim.token for claim in claims],
            "delays": [0 for _ in claims],
            **dict.fromkeys(("totals", "processed", "failed", "messages"), nothing),
        }
        async with self._pool.transaction() as tx:
            await tx.execute(sql(TASKS, "write_reports"), told)
            if self._outbox is not None:
                source = self._outbox.source
                started = (claim for claim in claims if wanted("started", claim.emit))
                await publish(self._outbox, tx, [begun_event(source, claim, 0) for claim in started])
            self._ring(tx, [claim.id for claim in claims])

    async def progress(
        self, owner: str, task_id: str, token: int | None, told: Told, lines: Sequence[Line] = ()
    ) -> tuple[Task, int]:
        """The task with what was told, and the number of its worker. Raises `TaskNotFound`, `Fenced`, `Denied`."""
        async with self._pool.transaction() as tx:
            held = await self._held(tx, owner, task_id, token)
            facts = {"id": held["id"], "token": held["token"], **msgspec.structs.asdict(told)}
            facts["message"] = clean(told.message)
            (row,) = await (await tx.execute(sql(TASKS, "write_progress"), facts)).fetchall()
            if lines:
                await tx.execute(sql(TASKS, "insert_logs"), _logged(held["id"], lines))
            self._ring(tx, [held["id"]])
        return task_of(row), held["worker"]

    async def end(
        self,
        owner: str,
        task_id: str,
        token: int,
        judge: Callable[[Mapping[str, Any]], Outcome],
    ) -> Outcome:
        """The end that `judge` gives the attempt, written. Raises `TaskNotFound`, `Fenced`, `Denied`."""
        async with self._pool.transaction() as tx:
            held = await self._held(tx, owner, task_id, token)
            outcome = judge(held)
            await self._settle(tx, [outcome])
        count_endings([outcome])
        observe_run(held["task_type"], held["ran"])
        return outcome

    async def hand_back(self, worker: int, keeping: Collection[int] = ()) -> int:
        """How many tasks of the worker were made ready for others, all but those of the tokens it keeps."""
        async with self._pool.transaction() as tx:
            told = {"worker": worker, "tokens": list(keeping)}
            rows = await (await tx.execute(sql(__package__, "lock_unheard"), told)).fetchall()
            outcomes = [outcome_of_row(row, ending=_unwanted(row)) for row in rows]
            await self._settle(tx, outcomes)
        count_endings(outcomes)
        return len(outcomes)

    async def return_unheard(self, claims: Sequence[Claim]) -> None:
        """Make tasks ready again whose claim nobody heard of; the attempt does not count."""
        outcomes = [
            Outcome(attempted=attempted(claim), ending=Ending.HANDED_BACK, delay=None) for claim in claims
        ]
        async with self._pool.transaction() as tx:
            await self._settle(tx, outcomes)
        count_endings(outcomes)

    async def _settle(self, tx: Connection, outcomes: Sequence[Outcome]) -> None:
        await settle(tx, self._outbox, outcomes)
        ring_endings(tx, self._doorbell, outcomes)

    async def _held(self, tx: Connection, owner: str, task_id: str, token: int | None) -> Mapping[str, Any]:
        if not is_id(task_id):
            raise TaskNotFound(f"There is no task {task_id}.", task_id=task_id)
        told = {"id": task_id, "token": token}
        row = await (await tx.execute(sql(__package__, "lock_attempt"), told)).fetchone()
        if row is None:
            count_fenced(1)
            raise Fenced(
                f"Task {task_id} is not run by this attempt: it has ended, or was given to another.",
                remedy="Drop it; nothing was changed.",
                task_id=task_id,
            )
        if row["owner"] != owner:
            raise Denied(f"Task {task_id} is run by a worker that is not one of {owner}.", task_id=task_id)
        return row

    def _ring(self, tx: Connection, ids: Iterable[str]) -> None:
        for task_id in ids:
            after_commit(tx, partial(self._doorbell.ring, channels.PROGRESS, task_id))


def clean(text: str | None) -> str | None:
    """The text as PostgreSQL takes it."""
    return text.replace("\x00", "\ufffd") if text else text


def _unwanted(row: Mapping[str, Any]) -> Ending:
    return Ending.CANCELLED if row["cancelled"] else Ending.HANDED_BACK


def _logged(task_id: str, lines: Sequence[Line]) -> dict[str, Any]:
    now = SYSTEM.now()
    return {
        "ids": [task_id for _ in lines],
        "ats": [now for _ in lines],
        "levels": [line.level for line in lines],
        "messages": [clean(line.message) for line in lines],
        "fields": [_fields(line.fields) for line in lines],
    }


def _fields(fields: Mapping[str, Any] | None) -> str | None:
    return msgspec.json.encode(fields).decode().replace("\\u0000", "\ufffd") if fields else None

"""What finished tasks owe their receivers, in the operations database: taken under a lease, noted, asked for again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from opsplane.database import Pool, sql
from opsplane.errors import NotFound
from opsplane.tasks.rows import task_of
from opsplane.tasks.states import FINISHED
from opsplane.tasks.task import Task

State = Literal["unfinished", "waiting", "delivered", "gone", "dead"]


class NoCallback(NotFound):
    """The task has no callback, or none that could be sent yet."""


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """What a task owes its receiver.

    `unfinished`: nothing before the task is; `waiting`: it is tried at `due_at`; `gone`: the receiver answered 410;
    `dead`: every try failed, or the address may not be called.
    """

    url: str
    state: State
    id: str | None = None
    tries: int = 0
    due_at: datetime | None = None
    tried_at: datetime | None = None
    last_status: int | None = None
    last_error: str | None = None


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A message taken to be sent; `due_at` is its lease, by which the end of the try is noted."""

    task_id: str
    id: str
    url: str
    receiver: str
    finished_at: datetime
    tries: int
    due_at: datetime


class CallbackBook:
    """The messages of finished tasks."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def of(self, task: Task) -> Callback:
        """What the task owes; raises `NoCallback` when it has no callback or finished before there were any."""
        row = await self._pool.fetch_one(sql(__package__, "get_callback"), [task.id])
        if row is not None:
            return _callback(row)
        if task.callback_url is None or task.status in FINISHED:
            raise NoCallback(f"Task {task.id} has no callback.", task_id=task.id)
        return Callback(url=task.callback_url, state="unfinished")

    async def try_again(self, task: Task) -> Callback:
        """The message, due now with all its tries; raises `NoCallback` when there is none to send."""
        row = await self._pool.fetch_one(sql(__package__, "try_again"), [task.id])
        if row is None:
            raise NoCallback(f"Task {task.id} has no callback that could be sent.", task_id=task.id)
        return _callback(row)

    async def take(self, limit: int, *, each: int, busy: Mapping[str, int], lease: float) -> list[Due]:
        """At most `limit` due messages, of each receiver at most `each` beside those it is `busy` with."""
        wanted = {"limit": limit, "each": each, "receivers": list(busy), "counts": list(busy.values())}
        rows = await self._pool.fetch(sql(__package__, "claim_callbacks"), {**wanted, "lease": lease})
        return msgspec.convert(rows, list[Due])

    async def task_of(self, due: Due) -> Task | None:
        """The finished task of the message; None when it was deleted or runs again."""
        wanted = {"task_id": due.task_id, "finished_at": due.finished_at}
        row = await self._pool.fetch_one(sql(__package__, "get_finished"), wanted)
        return None if row is None else task_of(row)

    async def note(
        self, due: Due, state: State, *, pause: float = 0.0, status: int | None, error: str | None
    ) -> bool:
        """Whether the end of the try was noted: not when the message was taken by another, or is no more."""
        facts = {"state": state, "pause": pause, "status": status, "error": error}
        named = {"task_id": due.task_id, "id": due.id, "lease": due.due_at}
        return await self._pool.execute(sql(__package__, "note_try"), {**named, **facts}) > 0

    async def hand_back(self, broken: Sequence[Due]) -> None:
        """Have messages whose tries were broken off sent soon."""
        facts = {"ids": [due.id for due in broken], "leases": [due.due_at for due in broken]}
        await self._pool.execute(sql(__package__, "hand_back"), facts)

    async def waiting(self) -> int:
        """How many messages wait for their receivers."""
        row = await self._pool.fetch_one(sql(__package__, "count_waiting"))
        return int(row["waiting"]) if row else 0


def _callback(row: Mapping[str, Any]) -> Callback:
    facts = {name: row[name] for name in Callback.__struct_fields__}
    due = row["due_at"] if row["state"] == "waiting" else None
    return Callback(**{**facts, "id": str(row["id"]), "due_at": due})

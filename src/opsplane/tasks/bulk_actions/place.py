"""How far a bulk action is: kept in the transaction of each batch, so that what was done is counted once."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from opsplane.database import Connection, sql
from opsplane.tasks.bulk_actions.wanted import BulkAction
from opsplane.tasks.marks import LOWEST_ID

STEP = "progress"
TASKS = "opsplane.tasks"


class Did(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the tasks of a batch, by their ids; the others were not touched."""

    cancelled: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    retried: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def ids(self) -> set[str]:
        """All of them."""
        return {*self.cancelled, *self.asked, *self.retried, *self.refused}


class Place(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Every matching task up to the id `after` was visited; those `left` were another transaction's then."""

    after: str = LOWEST_ID
    walked: bool = False
    left: tuple[str, ...] = ()
    cancelled: int = 0
    asked: int = 0
    retried: int = 0
    refused: int = 0
    skipped: int = 0

    @property
    def visited(self) -> int:
        """How many tasks something became of."""
        return self.cancelled + self.asked + self.retried + self.refused + self.skipped

    def plus(self, did: Did, *, skipped: int) -> Place:
        """The same with a batch counted."""
        return msgspec.structs.replace(
            self,
            cancelled=self.cancelled + len(did.cancelled),
            asked=self.asked + len(did.asked),
            retried=self.retried + len(did.retried),
            refused=self.refused + len(did.refused),
            skipped=self.skipped + skipped,
        )

    def result(self, action: BulkAction, matched: int) -> dict[str, Any]:
        """What the task of the bulk action tells at its end."""
        told = {"action": action, "matched": matched, "skipped": self.skipped}
        if action == "cancel":
            return {**told, "cancelled": self.cancelled, "askedToStop": self.asked}
        return {**told, "retried": self.retried, "refused": self.refused}


async def find_place(tx: Connection, task_id: str) -> Place:
    """The place kept last, or the beginning."""
    row = await (await tx.execute(sql(TASKS, "get_step"), [task_id, STEP])).fetchone()
    return msgspec.json.decode(row["result"], type=Place) if row else Place()


async def keep_place(tx: Connection, task_id: str, attempt: int, began: datetime, place: Place) -> None:
    """Note the place."""
    told = {
        "id": task_id,
        "name": STEP,
        "attempt": attempt,
        "result": msgspec.json.encode(place).decode(),
        "started_at": began,
    }
    await tx.execute(sql(__package__, "keep_place"), told)

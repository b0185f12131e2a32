"""The limits and the queues' settings in the operations database: set, read, lifted."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from opsplane.database import Connection, Doorbell, Pool, after_commit, sql
from opsplane.errors import InvalidInput, NotFound
from opsplane.tasks import channels
from opsplane.tasks.limits.limit import EACH, Kind, Limit, LimitState, NewLimit

COUNTED = 10_000


class LimitNotFound(NotFound):
    """There is no such limit."""


class LimitBook:
    """What operators do with limits; workers and the dispatcher are told of every change at once.

    A limit holds for tasks that are created or end after it was set, and within a second for those that wait; what runs
    goes on and is counted.
    """

    def __init__(self, pool: Pool, doorbell: Doorbell | None = None) -> None:
        self._pool = pool
        self._doorbell = doorbell

    async def put(self, new: NewLimit, actor: str) -> Limit:
        """The limit, set or changed. Raises `InvalidInput` for one that limits nothing or cannot be kept."""
        _require_sense(new)
        async with self._pool.transaction() as tx:
            facts = {**msgspec.structs.asdict(new), "actor": actor}
            row = await (await tx.execute(sql(__package__, "put_limit"), facts)).fetchone()
            self._ring(tx)
        return msgspec.convert(row, Limit)

    async def all(self) -> list[LimitState]:
        """Every limit with what is taken and what waits."""
        rows = await self._pool.fetch(sql(__package__, "count_limited"), {"limit": COUNTED})
        return [msgspec.convert(row, LimitState) for row in rows]

    async def get(self, kind: Kind, name: str) -> LimitState:
        """The limit; raises `LimitNotFound`."""
        for limit in await self.all():
            if (limit.kind, limit.name) == (kind, name):
                return limit
        raise _unknown(kind, name)

    async def delete(self, kind: Kind, name: str) -> None:
        """Lift the limit; what waits behind it is let go. Raises `LimitNotFound`."""
        async with self._pool.transaction() as tx:
            if not (await tx.execute(sql(__package__, "delete_limit"), [kind, name])).rowcount:
                raise _unknown(kind, name)
            self._ring(tx)

    async def set_queue(self, name: str, *, weight: float | None = None, fair: bool | None = None) -> None:
        """Set the queue's weight among queues, and whether its tenants take turns; None leaves it as it is."""
        async with self._pool.transaction() as tx:
            facts: dict[str, Any] = {"name": name, "weight": weight, "fair": fair}
            await tx.execute(sql(__package__, "put_queue"), facts)
            self._ring(tx, f"queue {name}")

    def _ring(self, tx: Connection, word: str = "limits") -> None:
        if self._doorbell is not None:
            after_commit(tx, partial(self._doorbell.ring, channels.CONTROL, word))
            after_commit(tx, partial(self._doorbell.ring, channels.CREATED, ""))


def _require_sense(new: NewLimit) -> None:
    if new.concurrency is None and new.rate is None:
        raise InvalidInput(
            f"A limit of the {new.kind} {new.name} must say how many run at once (concurrency) or start in a time (rate).",
            violations=[
                {"pointer": "/concurrency", "keyword": "required", "message": "or rate with perSeconds"}
            ],
        )
    if (new.rate is None) != (new.per_seconds is None):
        raise InvalidInput(
            "rate and perSeconds belong together: so many starts in so many seconds.",
            violations=[{"pointer": "/perSeconds", "keyword": "required", "message": "with rate"}],
        )
    if new.name == EACH and new.kind != "tenant":
        raise InvalidInput(
            f"{EACH} means each tenant; a limit of a {new.kind} names one.",
            violations=[{"pointer": "/name", "keyword": "pattern", "message": f"not {EACH}"}],
        )


def _unknown(kind: Kind, name: str) -> LimitNotFound:
    return LimitNotFound(f"There is no limit of the {kind} {name}.", remedy="See: opsplane limit ls")

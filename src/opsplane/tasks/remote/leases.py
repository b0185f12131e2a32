"""Leases of remote workers: each is a time until which its worker must have called, by the database's clock."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from opsplane.database import Pool, sql
from opsplane.errors import Conflict, Denied


class WorkerGone(Conflict):
    """The worker's lease has ended or it left: its tasks were given to others, and it must register anew."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a remote worker asks for: up to `limit` tasks of `types`, for which it waits up to `wait` seconds.

    Without a `number` it is registered first. `holding` are the claim tokens it knows of: what else it was given never
    reached it and is handed back; None tells nothing.
    """

    name: str
    types: frozenset[str]
    limit: int = 1
    wait: float = 0.0
    lease: float = 30.0
    number: int | None = None
    holding: frozenset[int] | None = None
    host: str = ""
    pid: int = 0

    @property
    def slots(self) -> int:
        """How many tasks the worker runs at once, as far as it tells."""
        return self.limit + len(self.holding or ())


class Lease(NamedTuple):
    """A remote worker's number, until when it must have called, and how long each call keeps it."""

    number: int
    until: datetime
    seconds: float


class Leases:
    """The registrations of remote workers; each belongs to the subject whose token made it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def take(self, owner: str, ask: Ask) -> Lease:
        """The lease, registered or renewed. Raises `WorkerGone`, `Denied`."""
        facts = {"types": sorted(ask.types), "slots": ask.slots, "lease": ask.lease}
        if ask.number is not None:
            running = None if ask.holding is None else len(ask.holding)
            return await self.renew(owner, ask.number, running=running, **facts)
        told = {"owner": owner, "name": ask.name, "host": ask.host, "pid": ask.pid, **facts}
        (row,) = await self._pool.fetch(sql(__package__, "register_worker"), told)
        return Lease(**row)

    async def renew(self, owner: str, number: int, **facts: Any) -> Lease:
        """The lease, renewed, with `running`, `stopping`, … noted. Raises `WorkerGone`, `Denied`."""
        nothing = dict.fromkeys(("lease", "types", "slots", "running", "stopping"))
        told = {**nothing, **facts, "number": number, "owner": owner}
        row = await self._pool.fetch_one(sql(__package__, "renew_lease"), told)
        if row is None:
            raise await self._refused(owner, number)
        return Lease(**row)

    async def touch(self, number: int) -> None:
        """Renew the lease of a worker that called about a task of its own."""
        await self._pool.execute(sql(__package__, "touch_lease"), {"number": number})

    async def leave(self, owner: str, number: int) -> None:
        """End the lease: the worker stops. Raises `WorkerGone`, `Denied`."""
        await self.renew(owner, number, stopping=True)
        await self._pool.execute(
            sql("opsplane.tasks", "worker_left"), {"number": number, "reason": "stopped"}
        )

    async def _refused(self, owner: str, number: int) -> WorkerGone | Denied:
        row = await self._pool.fetch_one(sql(__package__, "find_worker"), {"number": number})
        if row is not None and row["owner"] != owner:
            return Denied(f"Worker {number} is not a worker of {owner}.", worker=number)
        reason = row["gone_reason"] if row else "there is no such worker"
        return WorkerGone(
            f"Worker {number} is gone: {reason}.",
            remedy="Drop what it ran, its tasks were given to others, and claim without workerId to register anew.",
            worker=number,
        )

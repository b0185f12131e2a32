"""The pruner: makes the coming days' partitions and drops those beyond retention, with their tasks' files."""

from __future__ import annotations

from datetime import datetime, timedelta

from psycopg import sql as compose

from opsplane.clock import SYSTEM, Clock
from opsplane.database import Leader, Pool, sql
from opsplane.files import ObjectStore
from opsplane.resilience import Stop
from opsplane.tasks.marks import LOWEST_ID
from opsplane.telemetry import get_logger

log = get_logger("tasks")
RETENTION = 30.0
POLL = 3600.0
BATCH = 500


class Pruner:
    """A duty; any number may run, one of them acts. `retention` is in days, the day of finishing counts."""

    name = "task pruner"

    def __init__(
        self, pool: Pool, objects: ObjectStore, *, retention: float = RETENTION, clock: Clock = SYSTEM
    ) -> None:
        self._pool = pool
        self._objects = objects
        self._retention = timedelta(days=retention)
        self._clock = clock

    async def run(self, stop: Stop) -> None:
        """Prune once an hour until `stop`."""
        leader = Leader(self._pool.dsn, self.name)
        async with leader.hold(stop) as leading:
            while leading and await leader.still():
                await self.prune()
                if await stop.wait(POLL):
                    return

    async def prune(self) -> list[str]:
        """The names of the partitions dropped; their tasks' files went before them."""
        await self._pool.fetch_one(sql(__package__, "make_partitions"))
        await self._pool.fetch_one(sql(__package__, "forget_old"))
        before = (self._clock.now() - self._retention).replace(hour=0, minute=0, second=0, microsecond=0)
        rows = await self._pool.fetch(sql(__package__, "list_old_partitions"), {"before": before})
        if any(row["parent"] == "task_history" for row in rows):
            await self._delete_files(before)
        for row in rows:
            await self._drop(row["parent"], row["name"])
        return [row["name"] for row in rows]

    async def _delete_files(self, before: datetime) -> None:
        after = LOWEST_ID
        while True:
            wanted = {"before": before, "after": after, "limit": BATCH}
            rows = await self._pool.fetch(sql(__package__, "list_old_tasks"), wanted)
            for row in rows:
                async for found in self._objects.list(f"{row['tenant']}/{row['id']}/"):
                    await self._objects.delete(found.key)
            if len(rows) < BATCH:
                return
            after = rows[-1]["id"]

    async def _drop(self, parent: str, name: str) -> None:
        names = {"parent": compose.Identifier(parent), "name": compose.Identifier(name)}
        detach = compose.SQL("alter table {parent} detach partition {name}").format(**names)
        drop = compose.SQL("drop table {name}").format(**names)
        async with self._pool.transaction() as tx:
            if parent == "task_history":
                for forget in ("forget_steps", "forget_fan_outs", "forget_callbacks"):
                    await tx.execute(compose.SQL(sql(__package__, forget)).format(**names))
            await tx.execute(detach)
            await tx.execute(drop)
        log.info("tasks.partition_dropped", partition=name)

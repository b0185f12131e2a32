"""How many tasks wait and run, and how many go well: read from the database and told by one process."""

from __future__ import annotations

import math
from collections import Counter

from opsplane.clock import SYSTEM, Clock
from opsplane.database import Leader, Pool, sql
from opsplane.resilience import Stop
from opsplane.telemetry import gauge

GAP = 5.0
SHARE = 50.0  # a look that took a second is followed by fifty without one: at most 2 % of the time
LATEST = 1000
_active = gauge("tasks_active", "Tasks that run, by queue.", ["queue"])
_pending = gauge("tasks_pending", "Tasks that are due and wait, by queue.", ["queue"])
_ratio = gauge(
    "task_success_ratio", "Share of the latest thousand finished tasks that completed and did not fail."
)
_ratio.set(math.nan)


class TaskGauges:
    """A duty; any number may run, one of them tells, the others tell nothing."""

    name = "task gauges"

    def __init__(self, pool: Pool, clock: Clock = SYSTEM) -> None:
        self._pool = pool
        self._clock = clock
        self._known: set[str] = set()

    async def run(self, stop: Stop) -> None:
        """Look every five seconds, or less often where a look takes long, until `stop`."""
        leader = Leader(self._pool.dsn, self.name)
        async with leader.hold(stop) as leading:
            try:
                while leading and await leader.still():
                    began = self._clock.monotonic()
                    await self.look()
                    if await stop.wait(max(GAP, SHARE * (self._clock.monotonic() - began))):
                        return
            finally:
                self._fall_silent()

    async def look(self) -> None:
        """Read and tell."""
        counts: Counter[tuple[str, str]] = Counter()
        for row in await self._pool.fetch(sql(__package__, "count_by_queue")):
            counts[row["kind"], row["queue"]] += row["number"]
        self._known |= {queue for _, queue in counts}
        for queue in self._known:
            _active.labels(queue).set(counts["active", queue])
            _pending.labels(queue).set(counts["pending", queue])
        latest = await self._pool.fetch_one(sql(__package__, "latest_ratio"), {"limit": LATEST})
        _ratio.set(math.nan if latest is None or latest["ratio"] is None else latest["ratio"])

    def _fall_silent(self) -> None:
        """Tell nothing any more: another process does."""
        _active.clear()
        _pending.clear()
        _ratio.set(math.nan)
        self._known.clear()

"""What was published: read from the outbox, where events are as soon as the transaction they belong to has committed."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from opsplane.database import Pool, sql
from opsplane.events import Event
from opsplane.events.envelope import decode


class EventRecorder:
    """The events published in one database, by whomever, and not forgotten."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._after = 0

    async def events(self, types: str = "*") -> list[Event[Any]]:
        """Them in their order; `types` is a pattern such as `order.*`."""
        found = [decode(bytes(row["envelope"])) for row in await self._rows()]
        return [event for event in found if fnmatchcase(event.type, types)]

    async def types(self) -> list[str]:
        """Their types, in their order."""
        return [event.type for event in await self.events()]

    async def forget(self) -> None:
        """Leave out from now on what was published until now."""
        rows = await self._rows()
        self._after = rows[-1]["id"] if rows else self._after

    async def _rows(self) -> list[dict[str, Any]]:
        return await self._pool.fetch(sql(__package__, "read_published"), [self._after])

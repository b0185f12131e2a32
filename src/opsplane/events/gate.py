"""The gate before a group's reading: shut while an operator has paused the group or a breaker is open."""

from __future__ import annotations

import time

from opsplane.events.breakers.board import Breakers
from opsplane.events.broker import Broker

LOOK = 0.5


class Gate:
    """Whether a group may read now; the broker is asked twice a second."""

    def __init__(self, broker: Broker, group: str, breakers: Breakers | None = None) -> None:
        self._broker = broker
        self._group = group
        self._breakers = breakers
        self._looked_until = 0.0
        self._shut = False

    async def is_shut(self) -> bool:
        """Whether nothing may be read now."""
        if self._breakers is not None and self._breakers.open:
            return True
        if time.monotonic() >= self._looked_until:
            self._shut = self._group in await self._broker.paused()
            self._looked_until = time.monotonic() + LOOK
        return self._shut

"""Retries that have come due go back to the group that failed, and to no other."""

from __future__ import annotations

from collections.abc import Sequence

from opsplane.clock import Clock
from opsplane.events.broker import Broker
from opsplane.resilience import Stop

INTERVAL = 0.25


class RetryMover:
    """Moves due retries of all groups; runs in the `events` role, whose user alone may run scripts."""

    name = "retry mover"

    def __init__(self, broker: Broker, groups: Sequence[str], clock: Clock) -> None:
        self._broker = broker
        self._groups = groups
        self._clock = clock

    async def run(self, stop: Stop) -> None:
        """Move until `stop`."""
        while not await stop.wait(INTERVAL):
            await self.move()

    async def move(self) -> int:
        """How many retries were moved now."""
        now = self._clock.now().timestamp()
        return sum([await self._broker.move_due_retries(group, now) for group in self._groups])

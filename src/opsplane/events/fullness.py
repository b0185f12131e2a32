"""Full streams, as publishers learn of them: the `events` role marks them in the broker, publishers look now and then."""

from __future__ import annotations

import time

from opsplane.errors import Unavailable
from opsplane.events.broker import Broker
from opsplane.events.brokers.keys import FULL

LOOK = 0.25


class StreamFull(Unavailable):
    """The stream holds as many events as it may that some group has not read; nothing was published."""


class FullStreams:
    """The topics that take nothing now. The broker is asked at most four times a second, however many events there are:
    what is published between two looks goes through, so a stream may exceed its limit by about a second's worth.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._look_at = 0.0
        self._rejecting: frozenset[str] = frozenset()

    async def rejecting(self) -> frozenset[str]:
        """The topics of which publishers are refused."""
        if time.monotonic() >= self._look_at:
            names = await self._broker.call("HKEYS", FULL)
            self._rejecting = frozenset(name.decode() for name in names)
            self._look_at = time.monotonic() + LOOK
        return self._rejecting

    async def admit(self, topic: str) -> None:
        """Return when the topic takes events; raise `StreamFull` otherwise."""
        if topic in await self.rejecting():
            raise StreamFull(
                f"{topic} is full: a group has not read its events for long.",
                remedy=f"Try again later. Operators see why with: opsplane topic show {topic}",
                topic=topic,
            )

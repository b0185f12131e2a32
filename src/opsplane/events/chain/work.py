"""One delivery on its way through the chain."""

from __future__ import annotations

from typing import Any

from opsplane.events.broker import Delivered, Done
from opsplane.events.consumer import Consumer
from opsplane.events.envelope import Event


class Work:
    """A delivery with what the steps found out about it."""

    __slots__ = ("consumer", "entry", "event", "seen", "topic")

    def __init__(self, entry: Delivered) -> None:
        self.entry = entry
        self.topic = entry.metadata.get("sourceTopic", entry.stream)
        self.consumer: Consumer
        self.event: Event[Any]
        self.seen = False

    def done(self) -> Done:
        """What the broker is told when this was handled."""
        return Done(self.entry.stream, self.entry.id, self.event.id, self.entry.metadata.get("deadLetterId"))

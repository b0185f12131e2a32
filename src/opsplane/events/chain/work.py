"""One delivery on its way through the chain."""

from __future__ import annotations

from typing import Any

from opsplane.events.broker import OWN, Delivered, Done
from opsplane.events.consumer import Consumer
from opsplane.events.envelope import Event

_OURS = frozenset(
    {
        "attempts",
        "consumer",
        "deadLetterId",
        "deadLetters",
        "error",
        "failedAt",
        "fingerprint",
        "group",
        "message",
    }
    | {"reason", "restored", "sourceId", "sourceTopic", "violations"}
)


class Work:
    """A delivery with what the steps found out about it: `consumer` and `event` are there once it is decoded.

    `history` is what is known of it from earlier attempts. Only the group's private stream is believed about that:
    to a topic anyone may write.
    """

    __slots__ = ("consumer", "entry", "epoch", "event", "history", "recovered", "seen", "topic")

    def __init__(self, entry: Delivered, *, recovered: bool = False) -> None:
        self.entry = entry
        self.history = entry.metadata
        if entry.metadata and not entry.stream.startswith(OWN):
            self.history = {name: text for name, text in entry.metadata.items() if name not in _OURS}
        self.topic = self.history.get("sourceTopic", entry.stream)
        self.recovered = recovered
        self.consumer: Consumer
        self.event: Event[Any]
        self.seen = False
        self.epoch = 0

    @property
    def identity(self) -> str:
        """What makes an event the same one: its source and id, and the epoch in which it is done."""
        if self.epoch:
            return f"{self.epoch} {self.event.source} {self.event.id}"
        return f"{self.event.source} {self.event.id}"

    @property
    def source_id(self) -> str:
        """The id of its first delivery on its topic."""
        return self.history.get("sourceId", self.entry.id)

    @property
    def gives_up(self) -> str | None:
        """The event nobody needs to wait for any more, when this is no delivery but the news of that."""
        return self.history.get("givenUp") if self.entry.is_private else None

    def done(self) -> Done:
        """What the broker is told when this was handled."""
        replay_of = self.history.get("deadLetterId")
        return Done(self.entry.stream, self.entry.id, self.identity, replay_of, self.recovered)

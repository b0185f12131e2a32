"""The broker: streams, consumer groups, retries and dead letters, as every implementation offers them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from opsplane.errors import Unavailable

if TYPE_CHECKING:
    from opsplane.events.tenure import Tenure


class BrokerUnavailable(Unavailable):
    """The broker cannot be reached; what was not acknowledged will be delivered again."""


class PartlyPublished(BrokerUnavailable):
    """The broker refused some entries; `ids` has the id of each that it took and None for the others, in order."""

    def __init__(self, message: str, ids: list[str | None], reasons: Mapping[int, str]) -> None:
        super().__init__(message)
        self.ids = ids
        self.reasons = reasons


PRIVATE = "opsplane:retry-stream:"  # a group's own stream starts like this
OWN = "opsplane:"  # no topic starts like this: streams that do were written by opsplane itself


class Entry(NamedTuple):
    """What is written to a stream: the envelope's bytes and, where needed, a map of strings beside it."""

    stream: str
    data: bytes
    metadata: Mapping[str, str] | None = None


class Delivered(NamedTuple):
    """What is read from a stream: its id there, the envelope's bytes, the map beside it."""

    stream: str
    id: str
    data: bytes
    metadata: dict[str, str]

    @property
    def is_private(self) -> bool:
        """Whether it was a retry or a replay for this group alone."""
        return self.stream.startswith(PRIVATE)


class Done(NamedTuple):
    """A delivery that was handled: acknowledged, and, if it was a replay, confirmed."""

    stream: str
    id: str
    event: str
    replay_of: str | None = None
    recovered: bool = False


class Reader(Protocol):
    """One consumer of a group; it has a connection of its own because reading blocks.

    `epochs` is what the store said of the group's epochs together with the last read, for `Epochs.take`.
    """

    epochs: Sequence[bytes]

    async def read(self, count: int, block: float) -> list[Delivered]:
        """At most `count` new entries, waiting `block` seconds for the first.

        Raises `BrokerUnavailable` for good once the connection was lost: what this consumer holds may not be what
        it knows of.
        """
        ...

    async def close(self) -> None:
        """Give the connection back."""
        ...


class Broker(Protocol):
    """The seam between event processing and what stores the streams."""

    @property
    def interruptions(self) -> int:
        """How often the connection that publishes was lost: a broker that was restarted may lack its last writes."""
        ...

    async def publish_many(self, entries: Iterable[Entry]) -> list[str]:
        """The stream ids of the entries, in order, once the broker has them all; raises `PartlyPublished`."""
        ...

    async def publish_strictly(self, entries: Iterable[Entry]) -> list[str]:
        """The same, once the entries are on disk; raises `NotDurable` where the store cannot say so."""
        ...

    async def on_disk(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The replies to commands of the store, once what they wrote is on disk."""
        ...

    async def reader(self, group: str, consumer: str, streams: Sequence[str]) -> Reader:
        """A reader of the streams and of the group's private retry stream; groups are created from the beginning."""
        ...

    async def settle(self, group: str, done: Sequence[Done]) -> None:
        """Acknowledge handled entries and remember their events as seen."""
        ...

    async def seen(self, group: str, events: Sequence[str]) -> list[bool]:
        """Which events the group handled lately; a hint only."""
        ...

    async def schedule_retry(
        self, group: str, entry: Delivered, metadata: Mapping[str, str], due: float
    ) -> None:
        """Acknowledge the entry and have it come back to this group alone at `due` (Unix seconds): one step."""
        ...

    async def dead_letter(
        self, group: str, entry: Delivered, topic: str, metadata: Mapping[str, str]
    ) -> None:
        """Acknowledge the entry and write it to `<topic>.dlq`: one step."""
        ...

    async def move_due_retries(self, group: str, now: float) -> int:
        """How many scheduled retries that are due were put into the group's private stream."""
        ...

    async def dead_consumers(self, group: str, streams: Sequence[str]) -> list[str]:
        """Consumers with unacknowledged entries whose lease has run out."""
        ...

    async def claim_one(
        self, group: str, consumer: str, dead: str, streams: Sequence[str]
    ) -> Delivered | None:
        """The next entry of a dead consumer, now held by `consumer`; None when there is none to be had."""
        ...

    async def forget_consumers(self, group: str, streams: Sequence[str]) -> int:
        """How many consumers that hold nothing and have long been gone were struck off."""
        ...

    async def count_start(self, group: str, entry: Delivered) -> int:
        """How often handling of this recovered entry was started, this time included."""
        ...

    async def uncount_start(self, group: str, entry: Delivered) -> None:
        """Take one counted start back: the entry is not being handled any more and its process lives."""
        ...

    async def hold(self, group: str, consumer: str, entries: Sequence[Delivered]) -> None:
        """Show that these entries are not forgotten: they are idle from now on, and were delivered no more often."""
        ...

    async def epoch(self, group: str) -> int:
        """The highest epoch the broker knows of an ordered group; 0 when it knows none."""
        ...

    async def lead(self, group: str, epoch: int, leader: str, streams: Sequence[str]) -> Tenure:
        """Begin to lead an ordered group: every earlier leader is refused; raises `Deposed` when one is later."""
        ...

    async def paused(self) -> frozenset[str]:
        """The groups an operator has paused."""
        ...

    async def call(self, *command: Any) -> Any:
        """The reply to any other command of the store, for inspection."""
        ...

    async def lease(self, group: str, consumer: str) -> None:
        """Keep `consumer` alive in the eyes of others until `unlease`, from a thread of its own."""
        ...

    async def unlease(self, group: str, consumer: str) -> None:
        """End the lease now: others may take over what it holds."""
        ...

    async def close(self) -> None:
        """Close every connection and stop keeping leases."""
        ...

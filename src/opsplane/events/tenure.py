"""The tenure of one leader of an ordered group: all it does at the broker, refused once another leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from opsplane.events.broker import Delivered, Done

LEADER = "leader"  # the name under which every leader of an ordered group reads


class Parked(msgspec.Struct, frozen=True, rename="camel"):
    """A subject whose later events are set aside.

    The event `id` of `source` holds it up: it waits for its `retry`, is a `dead letter`, or is over and what was set
    aside is being handled (`release`). `floor` is, for each topic, the first entry that is not finished.
    """

    source: str
    id: str
    topic: str
    since: datetime
    state: Literal["retry", "dead letter", "release"]
    floor: dict[str, str]

    @property
    def event(self) -> str:
        """The event that holds it up."""
        return event_key(self.source, self.id)


Parking = Mapping[str, Parked | None]  # how subjects are parked from now on; None: not any more


class Tenure(Protocol):
    """What a leader reads and writes; each call is one atomic step and raises `Deposed` when it was replaced.

    `epochs` is what the store said of the group's epochs in the step of the last read, for `Epochs.take`.
    """

    epochs: Sequence[bytes]

    async def parked(self) -> dict[str, tuple[Parked, int]]:
        """The parked subjects, and how many events of each were set aside."""
        ...

    async def pending(self) -> list[Delivered]:
        """What former leaders were given and did not settle: retries first, then by age."""
        ...

    async def read(self, count: int, block: float) -> list[Delivered]:
        """At most `count` new entries of each stream, by age; after waiting `block` seconds perhaps none."""
        ...

    async def settle(self, group: str, done: Sequence[Done], parking: Parking) -> None:
        """Acknowledge handled entries, remember their events as seen, and park or release subjects."""
        ...

    async def schedule_retry(
        self, group: str, entry: Delivered, metadata: Mapping[str, str], due: float, parking: Parking
    ) -> None:
        """Acknowledge the entry, have it come back at `due`, and park."""
        ...

    async def dead_letter(
        self, group: str, entry: Delivered, topic: str, metadata: Mapping[str, str], parking: Parking
    ) -> None:
        """Acknowledge the entry, write it to `<topic>.dlq`, and park."""
        ...

    async def set_aside(self, subject: str, entries: Sequence[Delivered], parking: Parking) -> None:
        """Acknowledge the entries and append them to what was set aside of the subject."""
        ...

    async def aside(self, subject: str, count: int) -> list[Delivered]:
        """The first `count` events set aside of a subject; they go away when they are settled, in this order."""
        ...

    async def close(self) -> None:
        """Give the connections back."""
        ...


def event_key(source: str, event_id: str) -> str:
    """What an event is known by, in whichever epoch it is done."""
    return f"{source} {event_id}"

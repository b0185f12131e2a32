"""Parked subjects as operators see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from opsplane.events.broker import Broker
from opsplane.events.brokers import keys
from opsplane.events.tenure import Parked

_parked = msgspec.json.Decoder(Parked)


class ParkedSubject(msgspec.Struct, frozen=True):
    """A subject of an ordered group whose events wait: how many, since when, for what.

    `source` and `event_id` name the event they wait for, `topic` its topic, `waits_for` its `retry`, what is done
    about its `dead letter`, or, on `release`, only their turn.
    """

    group: str
    subject: str
    events: int
    since: datetime
    waits_for: str
    topic: str
    source: str
    event_id: str


async def read_parked(broker: Broker, group: str) -> dict[str, Parked]:
    """What stands in the broker about the group's parked subjects."""
    flat: Sequence[bytes] = await broker.call("HGETALL", keys.parked(group))
    return {
        subject.decode(): _parked.decode(parked)
        for subject, parked in zip(flat[::2], flat[1::2], strict=True)
    }


async def parked_subjects(broker: Broker, group: str) -> list[ParkedSubject]:
    """The group's parked subjects, the longest parked first."""
    found = []
    for subject, parked in (await read_parked(broker, group)).items():
        events = int(await broker.call("LLEN", keys.aside(group, subject)))
        source, _, event_id = parked.event.rpartition(" ")
        found.append(
            ParkedSubject(group, subject, events, parked.since, parked.state, parked.topic, source, event_id)
        )
    return sorted(found, key=lambda one: one.since)

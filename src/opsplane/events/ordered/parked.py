"""Parked subjects as operators see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from opsplane.database import Pool, sql
from opsplane.events.backbone import ROOM
from opsplane.events.broker import Broker
from opsplane.events.brokers import keys
from opsplane.events.tenure import Parked, event_key

_parked = msgspec.json.Decoder(Parked)


class ParkedSubject(msgspec.Struct, frozen=True):
    """A subject of an ordered group whose events wait: how many, since when, for what.

    `source` and `event_id` name the event they wait for, `topic` its topic, `waits_for` its `retry`, what is done
    about its dead letter (`dead_letter` is its number, where that is known), or, on `release`, only their turn.
    """

    group: str
    subject: str
    events: int
    since: datetime
    waits_for: str
    topic: str
    source: str
    event_id: str
    dead_letter: int | None = None

    @property
    def event(self) -> str:
        """The event they wait for."""
        return event_key(self.source, self.event_id)


async def read_parked(broker: Broker, group: str) -> dict[str, Parked]:
    """What stands in the broker about the group's parked subjects."""
    flat: Sequence[bytes] = await broker.call("HGETALL", keys.parked(group))
    return {
        subject.decode(): _parked.decode(parked)
        for subject, parked in zip(flat[::2], flat[1::2], strict=True)
    }


async def parked_subjects(broker: Broker, group: str, pool: Pool | None = None) -> list[ParkedSubject]:
    """The group's parked subjects, the longest parked first; the operations database knows the dead letters."""
    found = []
    for subject, parked in (await read_parked(broker, group)).items():
        events = int(await broker.call("LLEN", keys.aside(group, subject)))
        found.append(
            ParkedSubject(
                group, subject, events, parked.since, parked.state, parked.topic, parked.source, parked.id
            )
        )
    found.sort(key=lambda one: one.since)
    return found if pool is None or not found else await _with_letters(pool, group, found)


async def _with_letters(pool: Pool, group: str, found: Sequence[ParkedSubject]) -> list[ParkedSubject]:
    facts = [group, [one.source for one in found], [one.event_id for one in found]]
    rows = await pool.fetch(sql(ROOM, "open_letters_of"), facts)
    letters = {(row["event_source"], row["event_id"]): row["id"] for row in rows}
    return [
        msgspec.structs.replace(one, dead_letter=letters.get((one.source, one.event_id))) for one in found
    ]

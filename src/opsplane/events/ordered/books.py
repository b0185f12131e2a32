"""The books of a leader: which entry is in which lane, and what settling it means for its lane."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Literal

import msgspec

from opsplane.clock import Clock
from opsplane.events.broker import Delivered, Done
from opsplane.events.brokers import keys
from opsplane.events.chain import Work
from opsplane.events.ordered.lanes import Lane, key_of
from opsplane.events.tenure import Parked, Parking, Tenure
from opsplane.telemetry import gauge

PASSED = "expired"  # the producer has given such an event up: nobody waits for it
Place = tuple[str, str]
_subjects = gauge("event_parked_subjects", "Subjects whose events wait behind a failed one.", ["service"])
_events = gauge("event_parked_events", "Events set aside behind a failed one.", ["service"])


class Books:
    """What a settler writes to; the parking that follows is written in the same transaction.

    An entry is held from the moment it is read until it is settled or set aside; `room` is set while more may be
    read. Without `park` a failed event holds up nobody.
    """

    def __init__(self, tenure: Tenure, group: str, clock: Clock, *, park: bool, limit: int) -> None:
        self._tenure = tenure
        self._group = group
        self._clock = clock
        self._park = park
        self._limit = limit
        self._held: dict[Place, tuple[Lane, Work]] = {}
        self.room = asyncio.Event()
        self.room.set()

    def hold(self, work: Work, lane: Lane) -> None:
        """The entry is in the lane now."""
        self._held[_place(work.entry)] = lane, work
        if len(self._held) >= self._limit:
            self.room.clear()

    async def settle(self, group: str, done: Sequence[Done]) -> None:
        """Acknowledge; a lane that one of the events held up is held up no more."""
        places = [(one.stream, one.id) for one in done]
        held = [self._held[place] for place in places if place in self._held]
        parking = {lane.subject: _after(lane) for lane, work in held if _holds_up(work, lane)}
        await self._tenure.settle(group, done, parking)
        self._settled(places, parking)

    async def schedule_retry(
        self, group: str, entry: Delivered, metadata: Mapping[str, str], due: float
    ) -> None:
        """Acknowledge and schedule; the lane waits for it."""
        parking = self._behind(entry, "retry", self._clock.now())
        await self._tenure.schedule_retry(group, entry, metadata, due, parking)
        self._settled([_place(entry)], parking)

    async def dead_letter(
        self, group: str, entry: Delivered, topic: str, metadata: Mapping[str, str]
    ) -> None:
        """Acknowledge and bury; the lane waits for what is done about the dead letter."""
        since = datetime.fromisoformat(metadata["failedAt"])
        parking = self._behind(entry, "dead letter", since, passed=metadata["reason"] == PASSED)
        await self._tenure.dead_letter(group, entry, topic, metadata, parking)
        self._settled([_place(entry)], parking)

    async def set_aside(self, lane: Lane, works: Sequence[Work]) -> None:
        """The events wait behind the one that holds up their lane."""
        assert lane.parked is not None
        floor = dict(lane.parked.floor)
        for work in works:
            floor.setdefault(work.topic, work.source_id)
        parking = {lane.subject: msgspec.structs.replace(lane.parked, floor=floor)}
        await self._tenure.set_aside(lane.subject, [_kept(work) for work in works], parking)
        lane.aside += len(works)
        self._settled([_place(work.entry) for work in works], parking)

    async def give_up(self, lane: Lane, entry: Delivered) -> None:
        """What held up the lane was given up, as this entry tells; without aside events the lane is free at once."""
        assert lane.parked is not None
        parking = {} if lane.is_releasing else {lane.subject: _after(lane)}
        await self.acknowledge(entry, parking)
        if parking:
            lane.parked = parking[lane.subject]

    async def acknowledge(self, entry: Delivered, parking: Parking = MappingProxyType({})) -> None:
        """Be done with an entry that is no event."""
        await self._tenure.settle(self._group, [Done(entry.stream, entry.id, "")], parking)

    async def unpark(self, lane: Lane) -> None:
        """Nothing of the lane is set aside any more."""
        await self._tenure.settle(self._group, [], {lane.subject: None})
        lane.parked = None

    def show(self, parked: Collection[Lane]) -> None:
        """Tell the metrics how much is parked."""
        _subjects.labels(self._group).set(len(parked))
        _events.labels(self._group).set(sum(lane.aside for lane in parked))

    def _behind(
        self,
        entry: Delivered,
        state: Literal["retry", "dead letter"],
        since: datetime,
        *,
        passed: bool = False,
    ) -> dict[str, Parked | None]:
        """How the lane is parked when this entry has failed."""
        lane, work = self._held.get(_place(entry), (None, None))
        if lane is None or work is None or not self._park or not hasattr(work, "event"):
            return {}  # nobody knows its subject, or nobody cares
        if passed:
            return {lane.subject: _after(lane)} if _holds_up(work, lane) else {}
        before = lane.parked
        if before is None:
            parked = _parked(work, state, since, {})
        elif lane.is_held_up_by(key_of(work)):
            parked = msgspec.structs.replace(before, state=state)
        elif lane.is_releasing:
            parked = _parked(work, state, since, before.floor)
        else:
            return {}  # replayed while the lane waits for another
        return {lane.subject: parked}

    def _settled(self, places: Sequence[Place], parking: Parking) -> None:
        for place in places:
            if place in self._held:
                lane, _ = self._held.pop(place)
                lane.aside -= keys.is_aside(place[0])
                if lane.subject in parking:
                    lane.parked = parking[lane.subject]
        if len(self._held) <= self._limit // 2:
            self.room.set()


def _holds_up(work: Work, lane: Lane) -> bool:
    return lane.is_held_up_by(key_of(work)) and not lane.is_releasing


def _parked(
    work: Work, state: Literal["retry", "dead letter"], since: datetime, floor: Mapping[str, str]
) -> Parked:
    kept = dict(floor)
    if keys.is_aside(work.entry.stream) or work.topic not in kept:
        kept[work.topic] = work.source_id  # what was set aside before it is finished
    return Parked(work.event.source, work.event.id, work.topic, since, state, kept)


def _after(lane: Lane) -> Parked | None:
    """How the lane is parked when nothing holds it up: not at all, or until what was set aside is handled."""
    assert lane.parked is not None
    return msgspec.structs.replace(lane.parked, state="release") if lane.aside else None


def _kept(work: Work) -> Delivered:
    beside = {**work.history, "sourceTopic": work.topic, "sourceId": work.source_id}
    return work.entry._replace(metadata=beside)


def _place(entry: Delivered) -> Place:
    return entry.stream, entry.id

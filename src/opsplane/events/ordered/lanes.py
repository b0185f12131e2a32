"""Lanes: the events of one subject in their order; different subjects wait for each other nowhere."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator

import msgspec

from opsplane.events.chain import Work
from opsplane.events.tenure import Parked, event_key


class Lane:
    """One subject: retries and replays stand in `first`, events as they were read in `waiting`.

    While it is `parked`, `aside` counts the events set aside; `doubtful` says that the first of these may have been
    started by a former leader.
    """

    __slots__ = ("aside", "doubtful", "first", "is_queued", "parked", "subject", "waiting")

    def __init__(
        self, subject: str, parked: Parked | None = None, aside: int = 0, *, park: bool = True
    ) -> None:
        self.subject = subject
        self.parked = parked if parked is None or park else msgspec.structs.replace(parked, state="release")
        self.aside = aside
        self.doubtful = parked is not None
        self.first: deque[Work] = deque()
        self.waiting: deque[Work] = deque()
        self.is_queued = False

    @property
    def is_releasing(self) -> bool:
        """Whether what was set aside is to be handled now."""
        return self.parked is not None and self.parked.state == "release"

    def is_held_up_by(self, event: str) -> bool:
        """Whether this event is the one the others wait for."""
        return self.parked is not None and self.parked.event == event

    def take(self) -> Work | None:
        """The next event."""
        queue = self.first or self.waiting
        return queue.popleft() if queue else None

    def works(self) -> Iterator[Work]:
        """All its events that are held."""
        yield from self.first
        yield from self.waiting

    def take_waiting(self) -> list[Work]:
        """All events that wait as they were read."""
        taken = list(self.waiting)
        self.waiting.clear()
        return taken


class Lanes:
    """Every lane that has something to do or to wait for; `ready` are those for a worker to take, None ends one."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}
        self.ready: asyncio.Queue[Lane | None] = asyncio.Queue()

    def restore(self, lane: Lane) -> None:
        """Have the lane of a subject that a former leader has parked."""
        self._lanes[lane.subject] = lane

    def find(self, work: Work) -> Lane:
        """The lane of a decoded event: its subject's, or the one it holds up whatever its subject is by now."""
        if work.entry.is_private:
            held_up = self.held_up_by(key_of(work))
            if held_up is not None:
                return held_up
        subject = work.event.subject or ""
        return self._lanes.setdefault(subject, Lane(subject))

    def held_up_by(self, event: str) -> Lane | None:
        """The lane that waits for this event."""
        return next((lane for lane in self.parked() if lane.is_held_up_by(event)), None)

    def parked(self) -> Iterator[Lane]:
        """The lanes that are parked."""
        return (lane for lane in self._lanes.values() if lane.parked is not None)

    def queue(self, lane: Lane) -> None:
        """Have a worker take the lane, unless one has it already."""
        if not lane.is_queued:
            lane.is_queued = True
            self.ready.put_nowait(lane)

    def leave(self, lane: Lane) -> None:
        """A worker is done with the lane for now: it is queued again when it has more, forgotten when it is empty."""
        lane.is_queued = False
        if lane.first or lane.waiting:
            self.queue(lane)
        elif lane.parked is None:
            self._lanes.pop(lane.subject, None)


def key_of(work: Work) -> str:
    """What the event of a decoded work is known by."""
    return event_key(work.event.source, work.event.id)

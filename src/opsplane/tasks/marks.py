"""Claim marks: up to where each queue and priority was claimed, so that a claim never starts among dead rows.

While any transaction holds a snapshot, the dead versions of claimed tasks stay in the index; a claim that starts at
its head reads them all. A claim starts at the mark instead. The mark may only pass what can no longer appear below
it: a task's due time is read after its transaction has its xid, so what is invisible at a tick belongs to a
transaction that was possibly running then, and when that one ends the marks fall to before it began.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from opsplane.tasks.task import HIGHEST_PRIORITY

LEVELS = range(HIGHEST_PRIORITY + 1)
LOWEST_ID = "00000000-0000-0000-0000-000000000000"
FLOORS = 100
_MARGIN = timedelta(milliseconds=5)


class Mark(NamedTuple):
    """A place in the order of a queue's tasks of one priority."""

    at: datetime
    id: str


BEGINNING = Mark(datetime(1970, 1, 1, tzinfo=UTC), LOWEST_ID)


class Tick(NamedTuple):
    """One look at the database's transactions: the time, those running, and the xids between the look and an own."""

    at: datetime
    running: Collection[int]
    next_xid: int
    own_xid: int


class Marks:
    """The marks of one claimer, in memory only: a new claimer starts at the beginning."""

    def __init__(self) -> None:
        self._marks: dict[str, list[Mark]] = {}
        self._floors: list[Mark] = []  # to which all marks fell, one after another
        self._fallen: dict[str, int] = {}  # how many of them a queue's marks have taken in
        self._since: dict[int, datetime] = {}
        self._at = BEGINNING.at

    def ticked(self, tick: Tick) -> None:
        """Take in a tick; where a transaction ended that was possibly running, the marks fall to before it began."""
        possibly = {*tick.running, *range(tick.next_xid, tick.own_xid)}
        ended = self._since.keys() - possibly
        floors = [self._since.pop(xid) - _MARGIN for xid in ended]
        if tick.at < self._at:  # the clock was set back
            floors.append(tick.at - _MARGIN)
        if floors:
            self._fall(min(floors))
        before = min(self._at, tick.at)
        for xid in possibly - self._since.keys():
            self._since[xid] = before
        self._at = tick.at

    def of(self, queue: str) -> list[Mark]:
        """Where to start in the queue, by priority level."""
        marks = self._marks.setdefault(queue, [BEGINNING for _ in LEVELS])
        news = self._floors[self._fallen.get(queue, 0) :]
        if news:
            lowest = min(news)
            marks[:] = [min(mark, lowest) for mark in marks]
        self._fallen[queue] = len(self._floors)
        return marks

    def claimed(self, queue: str, last: tuple[int, Mark] | None) -> None:
        """Raise the queue's marks after a claim made since the last tick.

        `last` is level and place of the last task of a claim that was full; None when it came to the end.
        """
        marks, ceiling = self.of(queue), Mark(self._at, LOWEST_ID)
        for level in LEVELS:
            if last is not None and level == last[0]:
                marks[level] = min(last[1], ceiling)
                return
            marks[level] = ceiling

    def knows(self, queue: str) -> bool:
        """Whether the queue has marks."""
        return queue in self._marks

    def forget(self, queue: str) -> None:
        """Start at the beginning when the queue is asked for again."""
        self._marks.pop(queue, None)
        self._fallen.pop(queue, None)

    def _fall(self, floor: datetime) -> None:
        self._floors.append(Mark(floor, LOWEST_ID))
        if len(self._floors) >= FLOORS:
            for queue in self._marks:
                self.of(queue)
            self._floors.clear()
            self._fallen.clear()

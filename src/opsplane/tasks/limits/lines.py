"""The held tasks as far as they were read, and which of them is next: by priority, then by tenants' turn, then by due time.

Tenants take turns by start-time fair queueing: one that comes or returns starts at the turn of the one served last, so
it neither waits for those before it nor is paid back for the time it was away.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from opsplane.tasks.limits.limit import Line
from opsplane.tasks.limits.places import Place
from opsplane.tasks.marks import LEVELS

LOW = 32


class Waiting(NamedTuple):
    """A held task; they sort as they are let go within their line."""

    prio: int
    run_at: datetime
    id: str


class Reading:
    """A line with the tasks read of it and not let go; `arrived` and `more` say that there are, or may be, others."""

    def __init__(self, line: Line, places: list[Place]) -> None:
        self.line = line
        self.places = places
        self.arrived = False
        self.more = True
        self._tasks: list[Waiting] = []
        self._ids: set[str] = set()

    def __len__(self) -> int:
        """How many were read and not let go."""
        return len(self._tasks)

    @property
    def wanting(self) -> bool:
        """Whether it should be read."""
        return self.arrived or (self.more and len(self._tasks) < LOW)

    @property
    def first(self) -> Waiting:
        """The one to be let go next."""
        return self._tasks[0]

    @property
    def upto(self) -> int:
        """The level before which reading must stop: what is read already must not be read again and again."""
        return LEVELS.stop if len(self._tasks) < LOW else self._tasks[0].prio

    def add(self, tasks: Iterable[Waiting]) -> None:
        """Take in what was read; what is there already stays once."""
        for task in tasks:
            if task.id not in self._ids:
                self._ids.add(task.id)
                heapq.heappush(self._tasks, task)

    def take(self) -> Waiting:
        """The next one, gone from here."""
        task = heapq.heappop(self._tasks)
        self._ids.discard(task.id)
        return task


class Turns:
    """Whose turn it is among the tenants of a fair queue."""

    def __init__(self) -> None:
        self._served: dict[str, int] = {}
        self._now = 0

    def of(self, tenant: str) -> int:
        """The tenant's turn: the lowest is next."""
        return max(self._now, self._served.get(tenant, 0))

    def took(self, tenant: str) -> None:
        """The tenant was served."""
        self._now = self.of(tenant)
        self._served[tenant] = self._now + 1

    def forget(self, present: Iterable[str]) -> None:
        """Forget tenants that have nothing held."""
        self._served = {tenant: self._served[tenant] for tenant in present if tenant in self._served}


class Choice(NamedTuple):
    """A task to be let go."""

    reading: Reading
    task: Waiting


def choose(readings: Iterable[Reading], room: int, now: float, turns: Turns | None) -> list[Choice]:
    """At most `room` tasks of one queue to be let go now, their places taken; `turns` where tenants take turns."""

    def entry(reading: Reading) -> tuple[int, int, Waiting, int, Reading]:
        turn = 0 if turns is None else turns.of(reading.line.tenant)
        return reading.first.prio, turn, reading.first, id(reading), reading

    heap = [entry(reading) for reading in readings if reading]
    heapq.heapify(heap)
    chosen: list[Choice] = []
    while heap and len(chosen) < room:
        found = heapq.heappop(heap)
        reading = found[-1]
        current = entry(reading)
        if current[1] != found[1]:  # another line of the tenant was served meanwhile
            heapq.heappush(heap, current)
            continue
        if not all(place.open(now) for place in reading.places):
            continue
        chosen.append(Choice(reading, reading.take()))
        for place in reading.places:
            place.start()
        if turns is not None:
            turns.took(reading.line.tenant)
        if reading:
            heapq.heappush(heap, entry(reading))
        elif reading.more:
            break  # its next one must be read first: it might come before those of others
    return chosen

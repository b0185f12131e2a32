"""The held tasks of a queue as far as they were read, and which is next: by priority, then by tenants' turn, then by due time.

Tenants take turns by start-time fair queueing (Goyal, Vin, Cheng 1996): one that comes or returns starts at the turn of the one
served last, so it neither waits for those before it nor is paid back for the time it was away.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable
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


class Entry(NamedTuple):
    """The place of a line among those of its queue; they sort by what comes first."""

    prio: int
    turn: int
    first: Waiting
    number: int  # no two are alike, so that lines are never compared


class Reading:
    """A line with the tasks read of it and not let go; `more` says that there may be others."""

    def __init__(self, line: Line, places: list[Place]) -> None:
        self.line = line
        self.places = places
        self.more = True
        self.entry: Entry | None = None
        self._tasks: list[Waiting] = []
        self._ids: set[str] = set()

    def __len__(self) -> int:
        """How many were read and not let go."""
        return len(self._tasks)

    @property
    def first(self) -> Waiting:
        """The one to be let go next."""
        return self._tasks[0]

    @property
    def low(self) -> bool:
        """Whether it should be read on."""
        return self.more and len(self._tasks) < LOW

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
    """Whose turn it is among tenants."""

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

    def forget(self) -> None:
        """Forget the tenants whose turn it is anyway."""
        self._served = {tenant: turn for tenant, turn in self._served.items() if turn > self._now}


class Choice(NamedTuple):
    """A task to be let go."""

    reading: Reading
    task: Waiting


class Row:
    """The lines of one queue in the order in which they are next; in a fair queue its tenants take turns."""

    def __init__(self, *, fair: bool) -> None:
        self.turns = Turns() if fair else None
        self._heap: list[tuple[Entry, Reading]] = []
        self._number = 0

    def __bool__(self) -> bool:
        """Whether it has any task."""
        return bool(self._heap)

    def offer(self, reading: Reading) -> None:
        """Put a line in its place; again when its first task or its tenant's turn has changed."""
        if not reading:
            reading.entry = None
            return
        turn = 0 if self.turns is None else self.turns.of(reading.line.tenant)
        before = reading.entry
        if before is None or (before.first, before.turn) != (reading.first, turn):
            self._number += 1
            reading.entry = Entry(reading.first.prio, turn, reading.first, self._number)
            heapq.heappush(self._heap, (reading.entry, reading))

    def choose(self, room: int, now: float, types: Collection[str]) -> list[Choice]:
        """At most `room` tasks of these types to be let go now, their places taken."""
        chosen: list[Choice] = []
        closed: list[tuple[Entry, Reading]] = []
        while self._heap and len(chosen) < room:
            found = heapq.heappop(self._heap)
            entry, reading = found
            if reading.entry is not entry:
                continue  # it has another place by now
            if self.turns is not None and self.turns.of(reading.line.tenant) != entry.turn:
                self.offer(reading)  # another line of its tenant was served meanwhile
                continue
            if reading.line.task_type not in types or not all(place.open(now) for place in reading.places):
                closed.append(found)
                continue
            chosen.append(self._take(reading))
            if not reading and reading.more:
                break  # its next one must be read first: it might come before those of others
        for found in closed:
            heapq.heappush(self._heap, found)
        return chosen

    def _take(self, reading: Reading) -> Choice:
        task = reading.take()
        for place in reading.places:
            place.start()
        if self.turns is not None:
            self.turns.took(reading.line.tenant)
        self.offer(reading)
        return Choice(reading, task)

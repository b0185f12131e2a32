"""Reading held tasks: which lines have any, and their first tasks from the marks on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from operator import not_
from typing import Any

from opsplane.tasks.limits.limit import Line
from opsplane.tasks.limits.lines import Reading, Row, Waiting
from opsplane.tasks.limits.places import Places
from opsplane.tasks.limits.session import Session
from opsplane.tasks.marks import LEVELS, Mark, Marks

ARRIVED = ""  # the mark up to which arrivals were seen
MOST_LINES = 500
MOST_TASKS = 5000
LEAST_TASKS = 16


class Reader:
    """The lines that have held tasks, each read a little ahead, in a row for each queue."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._marks = Marks()
        self._places = Places()
        self._fair: frozenset[str] = frozenset()
        self._readings: dict[Line, Reading] = {}
        self._wanted: set[Line] = set()
        self.rows: dict[str, Row] = {}

    @property
    def waiting(self) -> bool:
        """Whether a task was read and not let go."""
        return any(self.rows.values())

    @property
    def knows_lines(self) -> bool:
        """Whether any line had held tasks lately."""
        return bool(self._readings)

    def renew(self, places: Places, fair: frozenset[str]) -> None:
        """Take over changed limits, and the queues whose tenants take turns."""
        self._places, self._fair = places, fair
        self.rows = {}
        for line, reading in self._readings.items():
            reading.places, reading.entry = places.of(line), None
            self._row(line.queue).offer(reading)

    def put(self, line: Line, task: Waiting) -> None:
        """Take in a task that is held again."""
        reading = self._of(line)
        reading.add([task])
        self._row(line.queue).offer(reading)

    def took(self, reading: Reading) -> None:
        """A task of the line was let go."""
        if reading.low:
            self._wanted.add(reading.line)

    async def read(self) -> None:
        """Learn of what came due, and read lines of which little is left."""
        self._marks.ticked(await self._session.tick())
        since = self._marks.of(ARRIVED)[0].at
        for row in await self._session.rows("find_arrived", {"since": since}):
            line = Line(**row)
            self._of(line).more = True
            self._wanted.add(line)
        self._marks.claimed(ARRIVED, None)
        wanted, self._wanted = [self._readings[line] for line in self._wanted], set()
        known = [self._marks.knows(_key(reading.line)) for reading in wanted]
        await self._in_parts(list(compress(wanted, known)), from_marks=True)
        await self._in_parts(list(compress(wanted, map(not_, known))), from_marks=False)

    async def sweep(self) -> None:
        """Read every line from its beginning, and forget those that have nothing."""
        lines = [Line(**row) for row in await self._session.rows("find_lines")]
        await self._in_parts([self._of(line) for line in lines], from_marks=False)
        for line in self._readings.keys() - set(lines):
            if not self._readings[line]:
                del self._readings[line]
                self._wanted.discard(line)
                self._marks.forget(_key(line))
        for row in self.rows.values():
            if row.turns is not None:
                row.turns.forget()

    def _of(self, line: Line) -> Reading:
        found = self._readings.get(line)
        if found is None:
            found = self._readings[line] = Reading(line, self._places.of(line))
        return found

    def _row(self, queue: str) -> Row:
        found = self.rows.get(queue)
        if found is None:
            found = self.rows[queue] = Row(fair=queue in self._fair)
        return found

    async def _in_parts(self, readings: Sequence[Reading], *, from_marks: bool) -> None:
        for at in range(0, len(readings), MOST_LINES):
            part = readings[at : at + MOST_LINES]
            limit = max(LEAST_TASKS, MOST_TASKS // len(part))
            upto = [reading.upto if from_marks else LEVELS.stop for reading in part]
            rows = await self._fetch(part, limit, upto if from_marks else None)
            read: list[list[Waiting]] = [[] for _ in part]
            for row in rows:
                read[row["line"]].append(Waiting(row["prio"], row["run_at"], row["id"]))
            for reading, level, tasks in zip(part, upto, read, strict=True):
                reading.add(tasks)
                if level == LEVELS.stop:
                    self._raise(reading, tasks, limit)
                self._row(reading.line.queue).offer(reading)

    async def _fetch(
        self, part: Sequence[Reading], limit: int, upto: Sequence[int] | None
    ) -> list[dict[str, Any]]:
        told: dict[str, Any] = {
            "queues": [reading.line.queue for reading in part],
            "tenants": [reading.line.tenant for reading in part],
            "types": [reading.line.task_type for reading in part],
            "limit": limit,
        }
        if upto is None:
            return await self._session.rows("read_firsts", told)
        marks = [mark for reading in part for mark in self._marks.of(_key(reading.line))]
        told |= {"upto": upto, "levels": list(LEVELS), "width": len(LEVELS)}
        told |= {"ats": [mark.at for mark in marks], "ids": [mark.id for mark in marks]}
        return await self._session.rows("read_lines", told)

    def _raise(self, reading: Reading, tasks: Iterable[Waiting], limit: int) -> None:
        got = list(tasks)
        last = got[-1] if len(got) == limit else None
        reading.more = last is not None
        self._marks.claimed(_key(reading.line), (last.prio, Mark(last.run_at, last.id)) if last else None)


def _key(line: Line) -> str:
    return "\0".join(line)

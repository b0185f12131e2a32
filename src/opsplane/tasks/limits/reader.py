"""Reading held tasks: which lines have any, and their first tasks from the marks on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from opsplane.database import sql
from opsplane.tasks import marks
from opsplane.tasks.limits.limit import Line
from opsplane.tasks.limits.lines import Reading, Waiting
from opsplane.tasks.limits.places import Places
from opsplane.tasks.marks import BEGINNING, LEVELS, Mark, Marks, Tick

ARRIVED = ""  # the mark up to which arrivals were seen
MOST_LINES = 500
MOST_TASKS = 5000
LEAST_TASKS = 16


class Session:
    """The session that holds the leadership, whose rows are dicts."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection

    @classmethod
    async def of(cls, connection: psycopg.AsyncConnection[Any]) -> Session:
        """The session, with the plans that hold without statistics."""
        for setting in (
            "enable_bitmapscan = off",
            "enable_seqscan = off",
            "client_connection_check_interval = 500",
        ):
            await connection.execute(f"set {setting}".encode())
        return cls(connection)

    async def tick(self) -> Tick:
        """One look at the running transactions, for the marks."""
        (row,) = await self._rows(sql(marks.__package__, "tick"), None)
        return Tick(row["at"], row["running"], row["next_xid"], row["own_xid"])

    async def rows(self, name: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of one of the dispatcher's statements; none for one that returns none."""
        return await self._rows(sql(__package__, name), parameters)

    async def _rows(
        self, statement: LiteralString, parameters: Mapping[str, Any] | None
    ) -> list[dict[str, Any]]:
        async with self._connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else []


class Reader:
    """The lines that have held tasks, each read a little ahead."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._marks = Marks()
        self.readings: dict[Line, Reading] = {}

    @property
    def waiting(self) -> bool:
        """Whether a task was read and not let go."""
        return any(self.readings.values())

    def of(self, line: Line, places: Places) -> Reading:
        """The line's reading."""
        found = self.readings.get(line)
        if found is None:
            found = self.readings[line] = Reading(line, places.of(line))
        return found

    def renew(self, places: Places) -> None:
        """Take over changed limits."""
        for line, reading in self.readings.items():
            reading.places = places.of(line)

    def by_queue(self) -> dict[str, list[Reading]]:
        """The readings that have something, by queue."""
        found: dict[str, list[Reading]] = {}
        for line, reading in self.readings.items():
            if reading:
                found.setdefault(line.queue, []).append(reading)
        return found

    async def read(self, places: Places) -> None:
        """Learn of what came due, and read lines of which little is left."""
        self._marks.ticked(await self._session.tick())
        since = self._marks.of(ARRIVED)[0].at
        for row in await self._session.rows("find_arrived", {"since": since}):
            reading = self.of(Line(**row), places)
            reading.arrived = reading.more = True
        self._marks.claimed(ARRIVED, None)
        wanted = [reading for reading in self.readings.values() if reading.wanting]
        for at in range(0, len(wanted), MOST_LINES):
            await self._fill(wanted[at : at + MOST_LINES], sweep=False)

    async def sweep(self, places: Places) -> None:
        """Read every line from its beginning, and forget those that have nothing."""
        lines = [Line(**row) for row in await self._session.rows("find_lines")]
        found = [self.of(line, places) for line in lines]
        for at in range(0, len(found), MOST_LINES):
            await self._fill(found[at : at + MOST_LINES], sweep=True)
        present = set(lines)
        for line in [line for line, reading in self.readings.items() if line not in present and not reading]:
            del self.readings[line]
            self._marks.forget(_key(line))

    async def _fill(self, readings: list[Reading], *, sweep: bool) -> None:
        limit = max(LEAST_TASKS, MOST_TASKS // len(readings))
        upto = [reading.upto for reading in readings]
        starts = [
            mark
            for reading in readings
            for mark in ([BEGINNING for _ in LEVELS] if sweep else self._marks.of(_key(reading.line)))
        ]
        rows = await self._session.rows(
            "read_lines",
            {
                "queues": [reading.line.queue for reading in readings],
                "tenants": [reading.line.tenant for reading in readings],
                "types": [reading.line.task_type for reading in readings],
                "upto": upto,
                "levels": list(LEVELS),
                "width": len(LEVELS),
                "ats": [mark.at for mark in starts],
                "ids": [mark.id for mark in starts],
                "limit": limit,
            },
        )
        read: list[list[Waiting]] = [[] for _ in readings]
        for row in rows:
            read[row["line"]].append(Waiting(row["prio"], row["run_at"], row["id"]))
        for reading, level, tasks in zip(readings, upto, read, strict=True):
            reading.add(tasks)
            reading.arrived = False
            if level == LEVELS.stop:
                self._raise(reading, tasks, limit)

    def _raise(self, reading: Reading, tasks: Iterable[Waiting], limit: int) -> None:
        got = list(tasks)
        last = max(got) if len(got) == limit else None
        reading.more = last is not None
        self._marks.claimed(_key(reading.line), (last.prio, Mark(last.run_at, last.id)) if last else None)


def _key(line: Line) -> str:
    return "\0".join(line)

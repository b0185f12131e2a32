"""Live tasks: one listener a process reads what changed of the watched tasks and hands it to every stream."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec

from opsplane.database import Bell, Doorbell, Pool, sql
from opsplane.resilience import Stop
from opsplane.tasks.channels import PROGRESS
from opsplane.tasks.rows import task_of
from opsplane.tasks.store import TaskLog
from opsplane.tasks.task import Task
from opsplane.telemetry import gauge

POLL = 1.0
LINES_KEPT = 1000
_streams = gauge("task_streams", "Clients that watch a task at this moment.")


class News(NamedTuple):
    """What a watcher had not seen: the task as it is now (None: deleted), and new log lines."""

    task: Task | None
    lines: list[TaskLog]


class Watch:
    """One watcher's letter box: the newest state of the task and the lines not yet fetched."""

    def __init__(self) -> None:
        self._arrived = asyncio.Event()
        self._lines: deque[TaskLog] = deque(maxlen=LINES_KEPT)
        self._task: Task | None = None
        self._closed = False

    def put(self, task: Task | None, lines: Collection[TaskLog]) -> None:
        """Leave news; an older state that was not fetched yet is replaced, lines are kept."""
        self._task = task
        self._lines.extend(lines)
        self._arrived.set()

    def close(self) -> None:
        """There will be no more news."""
        self._closed = True
        self._arrived.set()

    async def news(self) -> News | None:
        """What came since the last call, as soon as there is something; None when nothing will come any more."""
        await self._arrived.wait()
        self._arrived.clear()
        if self._closed:
            return None
        lines = list(self._lines)
        self._lines.clear()
        return News(self._task, lines)


class _Watched:
    """A task with its watchers, what they were told last, and the last line that was read."""

    def __init__(self) -> None:
        self.watches: set[Watch] = set()
        self.told: Task | None = None
        self.line = 0


class LiveTasks:
    """The duty that feeds the streams of this process: woken by the doorbell, and by its own poll."""

    name = "live tasks"

    def __init__(self, pool: Pool, doorbell: Doorbell) -> None:
        self._pool = pool
        self._doorbell = doorbell
        self._watched: dict[str, _Watched] = {}
        self._stopped = False

    @asynccontextmanager
    async def watch(self, task_id: str) -> AsyncIterator[Watch]:
        """A letter box for one task, fed from now on; it may bring lines that were written before."""
        watch = Watch()
        found = self._watched.setdefault(task_id, _Watched())
        found.watches.add(watch)
        if self._stopped:
            watch.close()
        _streams.inc()
        try:
            yield watch
        finally:
            _streams.dec()
            found.watches.discard(watch)
            if not found.watches and self._watched.get(task_id) is found:
                del self._watched[task_id]

    @property
    def watched(self) -> Collection[str]:
        """The ids of the tasks somebody watches."""
        return self._watched.keys()

    def skip(self, task_id: str, number: int) -> None:
        """The only watcher of the task has its lines up to `number` already; with others there they are read anyway."""
        found = self._watched[task_id]
        if len(found.watches) == 1:
            found.line = max(found.line, number)

    async def run(self, stop: Stop) -> None:
        """Feed the watchers until `stop`, which ends their streams."""
        loop = asyncio.get_running_loop()
        async with self._doorbell.listen(PROGRESS) as bell:
            stopping = asyncio.create_task(self._close_after(stop, bell), name="live tasks stop")
            try:
                due = loop.time()
                while not stop.is_set():
                    rung = await bell.wait(max(0.0, due - loop.time()))
                    if loop.time() >= due:
                        due = loop.time() + POLL
                        await self._tell(list(self._watched))
                    elif rung:
                        changed = {task_id for text in rung for task_id in text.split()}
                        await self._tell([task_id for task_id in changed if task_id in self._watched])
            finally:
                stopping.cancel()

    async def _close_after(self, stop: Stop, bell: Bell) -> None:
        await stop.wait()
        self._close()
        bell.rang("")

    def _close(self) -> None:
        self._stopped = True
        for found in self._watched.values():
            for watch in found.watches:
                watch.close()

    async def _tell(self, ids: list[str]) -> None:
        """Read these tasks, then their lines (a finished task has all of its lines by then), and pass news on."""
        if not ids:
            return
        rows = await self._pool.fetch(sql(__package__, "read_watched"), [ids])
        tasks = {str(row["id"]): task_of(row) for row in rows}
        lines = await self._lines(ids)
        for task_id in ids:
            found, task = self._watched.get(task_id), tasks.get(task_id)
            if found is None or (task == found.told and not lines.get(task_id) and task is not None):
                continue
            found.told = task
            for watch in found.watches:
                watch.put(task, lines.get(task_id, []))

    async def _lines(self, ids: list[str]) -> dict[str, list[TaskLog]]:
        wanted = [task_id for task_id in ids if task_id in self._watched]
        after = {"tasks": wanted, "after": [self._watched[task_id].line for task_id in wanted]}
        found: dict[str, list[TaskLog]] = {}
        for row in await self._pool.fetch(sql(__package__, "read_lines"), after):
            task_id = str(row.pop("task_id"))
            found.setdefault(task_id, []).append(msgspec.convert(row, TaskLog))
        for task_id, lines in found.items():
            if task_id in self._watched:
                self._watched[task_id].line = max(self._watched[task_id].line, lines[-1].number)
        return found

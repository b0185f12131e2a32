"""A task as a stream of events: a snapshot, then progress, log lines and status, until it is finished."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from opsplane.clock import Clock
from opsplane.database import sql
from opsplane.tasks.api.live import LiveTasks, Watch
from opsplane.tasks.api.views import LogView, progress_view, task_view
from opsplane.tasks.states import FINISHED
from opsplane.tasks.store import TaskStore
from opsplane.tasks.task import Task

Event = tuple[str, Any]


async def follow(task_id: str, store: TaskStore, live: LiveTasks, clock: Clock) -> AsyncIterator[Event]:
    """The events of one stream; it ends with the task's final status, with `deleted`, or when the server stops.

    The letter box is there before the snapshot is read, so nothing between the two is missed. Each line comes once.
    """
    async with live.watch(task_id) as watch:
        task = await store.get(task_id)
        lines = await store.pool.fetch(sql(__package__, "read_last_lines"), [task_id])
        last = lines[-1]["number"] if lines else 0
        live.skip(task_id, last)
        yield "snapshot", {"task": task_view(task, clock.now()), "logs": lines}
        if task.status not in FINISHED:
            async for event in _changes(task, last, watch, clock):
                yield event


async def _changes(task: Task, last: int, watch: Watch, clock: Clock) -> AsyncIterator[Event]:
    while (news := await watch.news()) is not None:
        for line in news.lines:
            if line.number > last:
                last = line.number
                yield "log", msgspec.convert(line, LogView, from_attributes=True)
        if news.task is None:
            yield "deleted", {"id": task.id}
            return
        before, task = task, _newer(task, news.task)
        progress = progress_view(task, clock.now())
        if msgspec.structs.replace(progress, eta_seconds=None) != msgspec.structs.replace(
            progress_view(before, clock.now()), eta_seconds=None
        ):
            yield "progress", progress
        if (task.status, task.cancel_requested_at) != (before.status, before.cancel_requested_at):
            yield "status", task_view(task, clock.now())
        if task.status in FINISHED:
            return


def _newer(known: Task, found: Task) -> Task:
    """`found`, unless it was read before `known` was."""
    return known if found.status not in FINISHED and found.updated_at < known.updated_at else found

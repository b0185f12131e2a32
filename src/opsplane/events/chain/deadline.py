"""Deadline: one sweeper per group ends handlers that take too long; no timer and no task per event."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from opsplane.errors import OpsplaneError

SWEEP = 0.1


class HandlerTimedOut(OpsplaneError):
    """The handler did not return within its timeout."""


class _Lane:
    __slots__ = ("due", "fired", "task")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.due = float("inf")
        self.fired = False


class Deadlines:
    """The handlers running now and when each must have returned."""

    def __init__(self) -> None:
        self._lanes: dict[asyncio.Task[Any], _Lane] = {}

    def lane(self) -> _Lane:
        """The lane of the running task; `release` it when the task has no more work."""
        task = asyncio.current_task()
        assert task is not None
        return self._lanes.setdefault(task, _Lane(task))

    def release(self, lane: _Lane) -> None:
        """Forget a lane."""
        self._lanes.pop(lane.task, None)

    async def sweep(self) -> None:
        """Cancel overdue handlers, for ever."""
        while True:
            await asyncio.sleep(SWEEP)
            now = time.monotonic()
            for lane in list(self._lanes.values()):
                if lane.due <= now and not lane.fired:
                    lane.fired = True
                    lane.task.cancel()

    @staticmethod
    def start(lane: _Lane, timeout: float) -> None:
        """The lane's handler starts now."""
        lane.fired = False
        lane.due = time.monotonic() + timeout

    @staticmethod
    def end(lane: _Lane) -> None:
        """The lane's handler has returned."""
        lane.due = float("inf")

    @staticmethod
    def timed_out(lane: _Lane) -> bool:
        """Whether a cancellation just caught was this sweeper's alone; its own is taken back."""
        if not lane.fired:
            return False
        lane.fired = False
        return lane.task.uncancel() == 0

"""One attempt at a task in this worker: its handler's run, and what it was asked to do."""

from __future__ import annotations

import asyncio
import time

from opsplane.tasks.context import Claim, TaskContext
from opsplane.tasks.outcome import Ending
from opsplane.tasks.task_type import TaskType


class Attempt:
    """A claimed task whose handler runs."""

    __slots__ = (
        "asked",
        "asked_at",
        "claim",
        "context",
        "ended",
        "forced",
        "kind",
        "lost",
        "run",
        "started",
        "stopping",
    )

    def __init__(self, claim: Claim, kind: TaskType, context: TaskContext) -> None:
        self.claim = claim
        self.kind = kind
        self.context = context
        self.started = time.monotonic()
        self.asked: Ending | None = None
        self.asked_at = 0.0
        self.lost = False
        self.forced = False
        self.ended = False  # the handler is done; a durable completion may be under way
        self.run: asyncio.Task[None] | None = None
        self.stopping: asyncio.Event | None = None  # set when asked, for executors that must pass it on
        context.delay = max(0, int((self.started - claim.received) * 1e6))

    @property
    def token(self) -> int:
        """The claim token, which fences what the attempt writes."""
        return self.claim.token

    @property
    def announced(self) -> bool:
        """Whether the start is written and published."""
        return self.context.announced

    def stop(self, ending: Ending) -> None:
        """Ask the handler to stop: a cancelled one may finish within its grace, others are ended at once."""
        if self.asked is None:
            self.asked, self.asked_at = ending, time.monotonic()
        self.context.cancelled = True
        if self.stopping is not None:
            self.stopping.set()
        if self.asked is not Ending.CANCELLED:
            self.force()

    def lose(self) -> None:
        """The task was taken away: end the handler, what it did not commit with its claim is refused."""
        self.lost = True
        self.stop(Ending.RESCUED)
        self.force()

    def tend(self, now: float) -> None:
        """End the handler by force when its time or its grace is over."""
        if self.asked is None:
            if now - self.started > self.claim.timeout:
                self.stop(Ending.FAILED)
        elif now - self.asked_at > self.kind.grace:
            self.force()

    def force(self) -> None:
        """Cancel the handler, once: what it awaits while it cleans up is left alone."""
        if self.run is not None and not self.ended and not self.forced:
            self.forced = True
            self.run.cancel()

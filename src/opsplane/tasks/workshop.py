"""What a worker's handlers run with: their types, and a runtime for each service in the loop that runs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Protocol

from opsplane.tasks.context import TaskRuntime
from opsplane.tasks.task_type import TaskType


class Workshop(Protocol):
    """Where handlers work. With task types of isolation `process` it must be picklable: a child opens its own."""

    def types(self) -> Sequence[TaskType]:
        """The task types this worker runs."""
        ...

    def runtime(self, service: str | None) -> AbstractAsyncContextManager[TaskRuntime]:
        """A runtime for the handlers of `service` in the running event loop, open while the block lasts."""
        ...


class OpenWorkshop:
    """A workshop whose runtimes are open already; for handlers in the loop they were opened in."""

    def __init__(self, types: Sequence[TaskType], runtimes: Mapping[str | None, TaskRuntime]) -> None:
        self._types = tuple(types)
        self._runtimes = runtimes

    def types(self) -> Sequence[TaskType]:
        """The types given."""
        return self._types

    def runtime(self, service: str | None) -> AbstractAsyncContextManager[TaskRuntime]:
        """The runtime given for the service."""
        return nullcontext(self._runtimes[service])

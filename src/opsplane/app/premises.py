"""Where handlers run: the workshop of an installation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from opsplane import config
from opsplane.app.composition import composed
from opsplane.app.roles import SERVICES
from opsplane.service import Runtime, collect_services, task_types
from opsplane.tasks import TaskType


@dataclass(frozen=True)
class Premises:
    """The workshop of an installation: every service's task types, each with its service's own database.

    Picklable by its state directory, so that a handler's own process opens the same.
    """

    state: Path

    def types(self) -> Sequence[TaskType]:
        """Every type of task the services declare."""
        return task_types(collect_services().values())

    @asynccontextmanager
    async def runtime(self, service: str | None) -> AsyncIterator[Runtime]:
        """The runtime of a service in the running loop."""
        async with composed(config.load(self.state)) as composition, composition.followed():
            yield await composition.runtime(collect_services()[service or SERVICES[0]])

"""Who can tell about an event, and asking them: one that is away is named, and the others are heard."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import psycopg

from opsplane.database import Pool
from opsplane.errors import OpsplaneError
from opsplane.events.broker import Broker
from opsplane.events.story.moments import Moment

T = TypeVar("T")


class TaskWitness(Protocol):
    """Knows the tasks of a trace, and those whose idempotency key is the event's id."""

    async def __call__(self, trace: str, event_id: str) -> list[Moment]:
        """What happened to them."""
        ...


@dataclass(frozen=True, slots=True)
class Witnesses:
    """The broker, every database with an outbox or inbox, the one with the dead letters, the declared groups.

    `away` names databases that could not be reached at all, and why.
    """

    broker: Broker
    databases: Mapping[str, Pool]
    operations: Pool | None
    groups: Collection[str] = ()
    tasks: TaskWitness | None = None
    away: Mapping[str, str] = field(default_factory=dict)


class Hearing:
    """Asks the witnesses of one event and notes who had no answer."""

    def __init__(self, witnesses: Witnesses, event_id: str) -> None:
        self.of = witnesses
        self.event_id = event_id
        self.missing = [f"database {name}: {reason}" for name, reason in sorted(witnesses.away.items())]

    async def ask(self, who: str, answer: Awaitable[T], otherwise: T) -> T:
        """The answer, or `otherwise` when there is none."""
        try:
            return await answer
        except (psycopg.Error, OpsplaneError, OSError) as error:
            text = error.message if isinstance(error, OpsplaneError) else str(error).strip()
            self.missing.append(f"{who}: {text}")
            return otherwise

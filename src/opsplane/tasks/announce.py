"""The events a task publishes: `operations.task.*`, through the outbox, in the transaction of the change."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from opsplane.database import Connection
from opsplane.events import Event, Outbox, Schemas, new_event

TOPICS = ("created", "started", "completed", "failed", "cancelled")
_NEEDS = {"created": 2, "started": 2, "completed": 1, "failed": 1, "cancelled": 1}


def task_schemas() -> Schemas:
    """The schemas of the task events."""
    return Schemas.load(Path(__file__).parent / "schemas")


def wanted(kind: str, emit: int) -> bool:
    """Whether a task with this `emit` (0 none, 1 ends, 2 all) publishes events of this kind."""
    return emit >= _NEEDS[kind]


def task_event(
    source: str,
    kind: str,
    task_id: str,
    task_type: str,
    *,
    at: datetime,
    traceparent: str | None = None,
    **facts: Any,
) -> Event[Any]:
    """The event `operations.task.<kind>` about one task; facts that are None are left out."""
    data = {"taskId": task_id, "taskType": task_type, "at": at.isoformat()}
    data.update((name, value) for name, value in facts.items() if value is not None)
    return new_event(f"operations.task.{kind}", data, source=source, subject=task_id, traceparent=traceparent)


class Begun(Protocol):
    """What the event about a start tells of an attempt: a claim has it."""

    @property
    def id(self) -> str: ...  # noqa: D102
    @property
    def task_type(self) -> str: ...  # noqa: D102
    @property
    def claimed_at(self) -> datetime: ...  # noqa: D102
    @property
    def attempt(self) -> int: ...  # noqa: D102
    @property
    def queue(self) -> str: ...  # noqa: D102
    @property
    def worker(self) -> int | None: ...  # noqa: D102
    @property
    def entity_type(self) -> str | None: ...  # noqa: D102
    @property
    def requested_by(self) -> str | None: ...  # noqa: D102
    @property
    def traceparent(self) -> str | None: ...  # noqa: D102


def begun_event(source: str, attempt: Begun, delay: int) -> Event[Any]:
    """The event `operations.task.started` of an attempt that began `delay` microseconds after its claim."""
    return task_event(
        source,
        "started",
        attempt.id,
        attempt.task_type,
        at=attempt.claimed_at + timedelta(microseconds=delay),
        traceparent=attempt.traceparent,
        entityType=attempt.entity_type,
        requestedBy=attempt.requested_by,
        queue=attempt.queue,
        attempt=attempt.attempt,
        worker=attempt.worker,
    )


async def publish(outbox: Outbox | None, tx: Connection, events: Iterable[Event[Any]]) -> None:
    """Put the events into the transaction's outbox; a component made without an outbox publishes nothing."""
    found = list(events)
    if found and outbox is not None:
        await outbox.publish(tx, *found)

"""The outbox: events wait in the transaction that caused them, so that both happen or neither."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from opsplane.database import Connection, Doorbell, after_commit, sql
from opsplane.errors import InvalidInput
from opsplane.events.envelope import Event, encode
from opsplane.events.schemas import Schemas
from opsplane.events.tracing import trace_of

CHANNEL = "opsplane_outbox"


class Row(NamedTuple):
    """What the outbox holds of an event."""

    topic: str
    subject: str | None
    event_id: str
    envelope: bytes
    trace: str | None = None


def row_of(event: Event[Any]) -> Row:
    """The row of an event that is published to its own topic."""
    trace = trace_of(event.traceparent, event.source, event.id)
    return Row(event.topic or event.type, event.subject, event.id, encode(event), trace)


class Outbox:
    """Where a service publishes; the one relay of its database sends after the commit."""

    def __init__(self, schemas: Schemas, source: str, doorbell: Doorbell | None = None) -> None:
        self.schemas = schemas
        self.source = source
        self._doorbell = doorbell

    async def publish(self, tx: Connection, *events: Event[Any], deliver_at: datetime | None = None) -> None:
        """Write the events into the caller's transaction; they are published after the commit, or at `deliver_at`.

        Lock the aggregate (its row) first: the order of first delivery per subject is the order of ids here.
        Each says in `dataschema` which version of its schema it fits. Raises `SchemaRejected` or `UnknownEventType`
        before anything is written.
        """
        admitted = [self.schemas.admit(event) for event in events]
        for event in admitted:
            if event.sequence is not None:
                raise InvalidInput(f"{event.type} {event.id} has a sequence; the relay gives it.")
        await self.write(tx, [row_of(event) for event in admitted], deliver_at)

    async def write(self, tx: Connection, rows: Sequence[Row], deliver_at: datetime | None = None) -> None:
        """Write rows as they are, not validated."""
        facts = [at_a_time(deliver_at), *map(list, zip(*rows, strict=True))]
        await tx.execute(sql(__package__, "insert_outbox"), facts)
        if self._doorbell is not None:
            after_commit(tx, self._ring)

    def _ring(self) -> None:
        if self._doorbell is not None:
            self._doorbell.ring(CHANNEL)


def at_a_time(given: datetime | None) -> datetime | None:
    """The time given, which must say in which time zone it is."""
    if given is not None and given.tzinfo is None:
        raise InvalidInput(
            f"{given.isoformat()} has no time zone.", remedy="Write it like 2026-05-01T12:00:00Z."
        )
    return given

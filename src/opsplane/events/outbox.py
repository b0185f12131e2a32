"""The outbox: events wait in the transaction that caused them, so that both happen or neither."""

from __future__ import annotations

from typing import Any

from opsplane.database import Connection, Doorbell, after_commit, sql
from opsplane.errors import InvalidInput
from opsplane.events.envelope import Event, encode
from opsplane.events.schemas import Schemas

CHANNEL = "opsplane_outbox"


class Outbox:
    """Where a service publishes; the one relay of its database sends after the commit."""

    def __init__(self, schemas: Schemas, source: str, doorbell: Doorbell | None = None) -> None:
        self.schemas = schemas
        self.source = source
        self._doorbell = doorbell

    async def publish(self, tx: Connection, *events: Event[Any]) -> None:
        """Write the events into the caller's transaction.

        Lock the aggregate (its row) first: the order of first delivery per subject is the order of ids here.
        Raises `SchemaRejected` or `UnknownEventType` before anything is written.
        """
        for event in events:
            self.schemas.require(event.type, event.data)
            if event.sequence is not None:
                raise InvalidInput(f"{event.type} {event.id} has a sequence; the relay gives it.")
        await tx.execute(
            sql(__package__, "insert_outbox"),
            [
                [event.topic or event.type for event in events],
                [event.subject for event in events],
                [event.id for event in events],
                [encode(event) for event in events],
            ],
        )
        if self._doorbell is not None:
            after_commit(tx, self._ring)

    def _ring(self) -> None:
        if self._doorbell is not None:
            self._doorbell.ring(CHANNEL)

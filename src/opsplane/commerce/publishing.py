"""Publishing alike from a request and from an event handler."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from opsplane.database import Connection
from opsplane.events import Outbox, new_event


class Publish(Protocol):
    """Writes an event into the outbox in the caller's transaction; `Context.publish` is one, too."""

    async def __call__(self, tx: Connection, topic: str, data: Any, *, subject: str | None = None) -> None:
        """Publish `data`, a Struct or JSON value, about `subject`."""
        ...


def publishes(outbox: Outbox) -> Publish:
    """Publishing through the service's outbox, for requests."""

    async def publish(tx: Connection, topic: str, data: Any, *, subject: str | None = None) -> None:
        event = new_event(topic, msgspec.to_builtins(data), source=outbox.source, subject=subject)
        await outbox.publish(tx, event)

    return publish

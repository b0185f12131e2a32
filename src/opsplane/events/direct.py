"""Direct publishing: an event that belongs to no transaction goes to its topic at once, validated."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from opsplane.errors import InvalidInput
from opsplane.events.broker import Broker, Entry
from opsplane.events.envelope import encode, wrap
from opsplane.events.schemas import Schemas

_TOPIC = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+){2,}")


class Published(msgspec.Struct, frozen=True):
    """Where a published event stands."""

    id: str
    topic: str
    entry: str


async def publish(
    broker: Broker,
    schemas: Schemas,
    topic: str,
    body: Any,
    *,
    source: str,
    subject: str | None = None,
    force: bool = False,
) -> Published:
    """Publish a payload, or an envelope. Raises `SchemaRejected` with every violation, or `UnknownEventType`.

    With `force` nothing is validated, and text that is no JSON at all is put on the stream as it is.
    """
    if not _TOPIC.fullmatch(topic) or topic.endswith(".dlq") or topic.startswith("opsplane."):
        raise InvalidInput(
            f"{topic!r} is not a topic.", remedy="A topic has three or more parts: domain.entity.action."
        )
    if force and isinstance(body, bytes):
        return Published("", topic, (await broker.publish_many([Entry(topic, body)]))[0])
    event = wrap(topic, body, source=source, subject=subject)
    if not force:
        schemas.require(event.type, event.data)
    return Published(event.id, topic, (await broker.publish_many([Entry(topic, encode(event))]))[0])

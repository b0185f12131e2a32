"""Direct publishing: an event that belongs to no transaction goes to its topic at once, validated."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import msgspec

from opsplane.database import Pool
from opsplane.errors import Conflict, InvalidInput
from opsplane.events.broker import Broker, Entry
from opsplane.events.configuration import EventsFile
from opsplane.events.delayed import delay
from opsplane.events.envelope import wrap
from opsplane.events.fullness import FullStreams
from opsplane.events.outbox import Outbox, Row, at_a_time, row_of
from opsplane.events.schemas import Schemas
from opsplane.telemetry import counter

_published = counter("event_publish_total", "Events published to the broker.", ["topic"])
_TOPIC = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+){2,}")


class Published(msgspec.Struct, frozen=True):
    """Where a published event stands; `entry` is empty while it waits in an outbox or for its time."""

    id: str
    topic: str
    entry: str = ""
    deliver_at: datetime | None = None


class DirectPublisher:
    """Publishes with the durability `events.yaml` asks for; `outbox` needs the database `pool` whose relay sends."""

    def __init__(
        self,
        broker: Broker,
        schemas: Schemas,
        *,
        file: EventsFile | None = None,
        pool: Pool | None = None,
        outbox: Outbox | None = None,
    ) -> None:
        self._broker = broker
        self._schemas = schemas
        self._file = file or EventsFile()
        self._pool = pool
        self._outbox = outbox
        self._full = FullStreams(broker)

    async def publish(
        self,
        topic: str,
        body: Any,
        *,
        source: str,
        subject: str | None = None,
        force: bool = False,
        deliver_at: datetime | None = None,
    ) -> Published:
        """Publish a payload, or an envelope, now or at `deliver_at`.

        Raises `SchemaRejected` with every violation, `UnknownEventType`, `StreamFull`, and where the topic is
        `strict` `NotDurable` or `NotOnDisk`. With `force` nothing is validated, and text that is no JSON at all is put
        on the stream as it is.
        """
        if not _TOPIC.fullmatch(topic) or topic.endswith(".dlq") or topic.startswith("opsplane."):
            raise InvalidInput(
                f"{topic!r} is not a topic.", remedy="A topic has three or more parts: domain.entity.action."
            )
        if force and isinstance(body, bytes):
            return await self._send(Row(topic, None, "", body), deliver_at)
        event = wrap(topic, body, source=source, subject=subject)
        if not force:
            event = self._schemas.admit(event)
        return await self._send(row_of(event), deliver_at)

    async def _send(self, row: Row, given: datetime | None) -> Published:
        deliver_at = at_a_time(given)
        durability = self._file.current.policy(row.topic).durability
        if durability == "outbox":
            await self._by_outbox(row, deliver_at)
            return Published(row.event_id, row.topic, "", deliver_at)
        await self._full.admit(row.topic)
        if deliver_at is not None:
            await delay(self._broker, row.topic, row.envelope, deliver_at, strict=durability == "strict")
            return Published(row.event_id, row.topic, "", deliver_at)
        entry = Entry(row.topic, row.envelope)
        publish = self._broker.publish_strictly if durability == "strict" else self._broker.publish_many
        [stream_id] = await publish([entry])
        _published.labels(row.topic).inc()
        return Published(row.event_id, row.topic, stream_id)

    async def _by_outbox(self, row: Row, deliver_at: datetime | None) -> None:
        if self._pool is None or self._outbox is None:
            raise Conflict(
                f"{row.topic} is published through the outbox, and this process has none.",
                remedy="Publish it through the API of the events role.",
            )
        async with self._pool.transaction() as tx:
            await self._outbox.write(tx, [row], deliver_at)

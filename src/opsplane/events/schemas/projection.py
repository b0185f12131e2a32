"""The active set on its way to every process: the truth is in PostgreSQL, services look at its copy in the broker."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from opsplane.database import Pool, sql
from opsplane.events.backbone import ROOM
from opsplane.events.broker import Broker, BrokerUnavailable
from opsplane.events.brokers.keys import SCHEMAS
from opsplane.events.schemas import store
from opsplane.events.schemas.document import Schema
from opsplane.events.schemas.schemas import Schemas
from opsplane.resilience import Stop
from opsplane.telemetry import get_logger

log = get_logger("events")
INTERVAL = 1.0
_REVISION, _ROWS = "revision", "schemas"
_COLUMNS = ("subject", "version", "state", "scope", "formats", "document")


async def project(pool: Pool, broker: Broker) -> str:
    """The revision of the registry, after the broker was told what it means."""
    wanted = revision(await pool.fetch(sql(ROOM, "list_schema_digests")))
    if await _told(broker) != wanted:
        rows = await pool.fetch(sql(ROOM, "list_usable_schemas"))
        plain = msgspec.json.encode([{name: row[name] for name in _COLUMNS} for row in rows])
        wanted = revision(rows)
        await broker.call("HSET", SCHEMAS, _REVISION, wanted, _ROWS, plain)
    return wanted


def revision(rows: Iterable[Mapping[str, Any]]) -> str:
    """What tells one state of the registry from another."""
    facts = [[row["subject"], row["version"], row["digest"], row["state"]] for row in rows]
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:16]


class SchemaProjection:
    """Tells the broker every second, and judges by the registry itself; runs in the `events` role."""

    name = "schema projection"

    def __init__(self, pool: Pool, broker: Broker, schemas: Schemas) -> None:
        self._pool = pool
        self._broker = broker
        self._schemas = schemas
        self._known = ""

    async def run(self, stop: Stop) -> None:
        """Tell until `stop`."""
        while not stop.is_set():
            await self.step()
            await stop.wait(INTERVAL)

    async def step(self) -> None:
        """Tell now; the own schemas change even while the broker is away."""
        found = revision(await self._pool.fetch(sql(ROOM, "list_schema_digests")))
        if found != self._known:
            self._schemas.adopt(await store.usable(self._pool))
            self._known = found
        await project(self._pool, self._broker)


class SchemaFollower:
    """Judges by what the registry has told the broker; runs in every process that publishes or consumes.

    Until something is known, and for types the registry does not know, the process's own files count. A broker that
    forgot changes nothing: what was known goes on to count.
    """

    name = "schema follower"

    def __init__(self, broker: Broker, schemas: Schemas) -> None:
        self._broker = broker
        self._schemas = schemas
        self._known: str | None = None

    async def run(self, stop: Stop) -> None:
        """Look every second until `stop`."""
        while not stop.is_set():
            await self.look()
            await stop.wait(INTERVAL)

    async def look(self) -> bool:
        """Whether something new is known now; while the broker is away, nothing is."""
        try:
            return await self._looked()
        except BrokerUnavailable as error:
            log.info("events.schemas_stay", error=error.message)
            return False

    async def _looked(self) -> bool:
        told = await _told(self._broker)
        if told is None or told == self._known:
            return False
        told, rows = await self._broker.call("HMGET", SCHEMAS, _REVISION, _ROWS)
        if told is None or rows is None:
            return False
        self._schemas.adopt(_decoded(rows))
        self._known = told.decode()
        log.info("events.schemas_adopted", revision=self._known)
        return True


async def _told(broker: Broker) -> str | None:
    found = await broker.call("HGET", SCHEMAS, _REVISION)
    return found.decode() if found is not None else None


def _decoded(rows: bytes) -> list[Schema]:
    return store.compiled(msgspec.json.decode(rows, type=list[dict[str, Any]]))

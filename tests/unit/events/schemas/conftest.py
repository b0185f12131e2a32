from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from opsplane.database import Pool, migrate
from opsplane.events import Broker, connect
from opsplane.events.backbone import Backbone
from opsplane.events.schemas import registry
from opsplane.events.schemas.document import Schema, schema
from opsplane.events.schemas.registry import Registered
from opsplane.events.topology import Subscription, Topology

SUBJECT = "shop.price.updated"
CONSUMED = Topology(
    [
        Subscription(
            "search-service", "search", (SUBJECT,), "index_price", "Keep the price.", "search-events"
        ),
        Subscription("order-service", "order", (SUBJECT, "shop.stock.changed"), "note_price"),
    ],
    {SUBJECT: "catalog"},
)


def price(*required: str, **properties: Any) -> dict[str, Any]:
    """A closed object with a sku and these properties."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["sku", *required],
        "additionalProperties": False,
        "properties": {"sku": {"type": "string"}, **properties},
    }


NUMBER = {"type": "number"}


@dataclass
class Registry:
    """The registry in an empty operations database."""

    backbone: Backbone

    @property
    def pool(self) -> Pool:
        return self.backbone.pool

    @property
    def broker(self) -> Broker:
        return self.backbone.broker

    async def register(self, document: dict[str, Any], **options: Any) -> Registered:
        candidate = schema(SUBJECT, options.pop("version", 1), document, state="draft")
        return await registry.register(self.pool, candidate, "alice", CONSUMED, **options)

    async def promote(self, version: int, **options: Any) -> Any:
        return await registry.promote(self.pool, SUBJECT, version, "bob", CONSUMED, **options)

    async def active(self, document: dict[str, Any]) -> int:
        """The version it became."""
        done = await self.register(document)
        await self.promote(done.version.version)
        return done.version.version


def file(version: int, document: dict[str, Any], subject: str = SUBJECT) -> Schema:
    """A schema as a service's file brings it."""
    return schema(subject, version, document)


@pytest.fixture
async def held(database: str, broker_url: str) -> AsyncIterator[Registry]:
    pool = await Pool.open(database, max_size=4)
    await migrate(pool, "events", "opsplane.events.operations_migrations")
    await migrate(pool, "audit", "opsplane.database.audit_migrations")
    broker = connect(broker_url)
    yield Registry(Backbone(pool, broker, "alice", topology=CONSUMED))
    await broker.close()
    await pool.close()

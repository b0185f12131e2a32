from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as redis

from opsplane.clock import SYSTEM
from opsplane.database import Doorbell, Pool, migrate
from opsplane.events import ConsumerGroup, Entry, Outbox, Schemas, Service, connect, encode, new_event
from opsplane.resilience import Stop, run_duties

TOPIC = "shop.item.created"
OTHER = "shop.item.deleted"
GROUP = "indexer"
SCHEMA = {
    "type": "object",
    "required": ["sku", "price"],
    "additionalProperties": False,
    "properties": {"sku": {"type": "string", "maxLength": 20}, "price": {"type": "number", "minimum": 0}},
}


class World:
    """One service with its database, a broker, and what tests look at from outside."""

    def __init__(self, pool, broker, store, schemas, doorbell):
        self.pool, self.broker, self.store, self.schemas, self.doorbell = (
            pool,
            broker,
            store,
            schemas,
            doorbell,
        )
        self.outbox = Outbox(schemas, "shop", doorbell)
        self.service = Service("shop", pool, self.outbox, SYSTEM)

    def group(self, *consumers, clock=SYSTEM, **options) -> ConsumerGroup:
        service = Service("shop", self.pool, self.outbox, clock)
        return ConsumerGroup(consumers, service, self.broker, self.schemas, **options)

    async def deliver(self, group: ConsumerGroup) -> int:
        """Let the group read and process what there is, once; how many entries that was."""
        reader = await self.broker.reader(group.group, group.consumer, group.topics)
        entries = await reader.read(500, 0.05)
        await group.process(entries)
        await reader.close()
        return len(entries)

    async def emit(self, *events, topic=TOPIC) -> list[str]:
        return await self.broker.publish_many([Entry(topic, encode(event)) for event in events])

    async def dead(self, topic=TOPIC):
        """Data and metadata of the topic's dead letters."""
        return [
            (fields[b"data"], json.loads(fields[b"metadata"]))
            for _, fields in await self.store.xrange(f"{topic}.dlq")
        ]

    async def pending(self, group=GROUP, topic=TOPIC) -> int:
        return (await self.store.xpending(topic, group))["pending"]

    @contextlib.asynccontextmanager
    async def running(self, *duties) -> AsyncIterator[Stop]:
        stop = Stop()
        task = asyncio.create_task(run_duties(duties, stop))
        try:
            yield stop
        finally:
            stop.set()
            await task

    @staticmethod
    def item(number: int = 1, **data):
        return new_event(
            TOPIC, {"sku": f"p{number}", "price": 1.5, **data}, source="shop", subject=f"p{number % 3}"
        )

    @staticmethod
    async def until(check, timeout: float = 20.0):
        """The first true answer of `check`."""
        async with asyncio.timeout(timeout):
            while True:
                found = check()
                found = await found if asyncio.iscoroutine(found) else found
                if found:
                    return found
                await asyncio.sleep(0.01)


@pytest.fixture
async def world(database, broker_url, tmp_path):
    for topic in (TOPIC, OTHER):
        path = tmp_path / "schemas" / topic / "1.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(SCHEMA if topic == TOPIC else {"type": "object"}))
    pool = await Pool.open(database, max_size=4)
    await migrate(pool, "events", "opsplane.events.migrations")
    await pool.execute("create table effect (event_id text not null)")
    broker, store, doorbell = connect(broker_url), redis.from_url(broker_url), Doorbell(database)
    yield World(pool, broker, store, Schemas.load(tmp_path / "schemas"), doorbell)
    await doorbell.close()
    await broker.close()
    await store.aclose()
    await pool.close()

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
import redis.asyncio as redis

from opsplane.clock import SYSTEM
from opsplane.database import Doorbell, Pool, migrate
from opsplane.embedded.keys import ensure_keys
from opsplane.events import (
    Broker,
    ConsumerGroup,
    Context,
    Event,
    Outbox,
    Relay,
    RetryMover,
    Schemas,
    Service,
    connect,
    consumer,
    deadletters,
    new_event,
)
from opsplane.events.api import handlers, own_dead_letter_router
from opsplane.events.backbone import Backbone
from opsplane.events.checkpoints import Checkpoints
from opsplane.events.deadletters import DeadLetterKeeper, Replayer, Selection
from opsplane.events.direct import DirectPublisher
from opsplane.resilience import Retry, Stop, run_duties
from opsplane.telemetry import Health
from opsplane.web import TokenIssuer, Verifier, create_app

TOPIC = "catalog.product.created"
GROUP = "search-service"
NO_RETRY = Retry(0)
SCHEMA = {
    "type": "object",
    "required": ["sku", "price"],
    "properties": {"sku": {"type": "string"}, "price": {"type": "number", "minimum": 0}},
}


@dataclass
class Platform:
    """One service with its outbox, one group with an inbox, one without, and the duties of the events role."""

    pool: Pool
    broker: Broker
    store: redis.Redis
    schemas: Schemas
    outbox: Outbox
    service: Service
    doorbell: Doorbell
    broken: Exception | None = None
    handled: list[str] = field(default_factory=list)
    bystander: list[str] = field(default_factory=list)

    @property
    def backbone(self) -> Backbone:
        return Backbone(self.pool, self.broker, "alice", {"catalog": self.pool}, schemas=self.schemas)

    @property
    def direct(self) -> DirectPublisher:
        return DirectPublisher(self.broker, self.schemas)

    def group(self, retry: Retry = NO_RETRY) -> ConsumerGroup:
        @consumer(TOPIC, group=GROUP, retry=retry, dead_letters="search-events")
        async def index(event: Event, ctx: Context) -> None:
            if self.broken is not None:
                raise self.broken
            async with ctx.once() as tx:
                await tx.execute("insert into effect (event_id) values (%s)", [event.id])
            self.handled.append(event.id)

        return ConsumerGroup([index], self.service, self.broker, self.schemas)

    def other_group(self) -> ConsumerGroup:
        @consumer(TOPIC, group="audit-service", retry=Retry(0))
        async def note(event: Event, ctx: Context) -> None:
            self.bystander.append(event.id)

        return ConsumerGroup([note], self.service, self.broker, Schemas())

    @property
    def keeper(self) -> DeadLetterKeeper:
        return DeadLetterKeeper(self.pool, self.broker, schemas=self.schemas)

    def duties(self):
        keeper = self.keeper
        return [
            keeper,
            Replayer(self.pool, self.broker),
            Checkpoints(self.pool, self.broker, keeper.ingest.step),
            RetryMover(self.broker, [GROUP], SYSTEM),
        ]

    def relay(self) -> Relay:
        return Relay("catalog", self.pool, self.broker, self.doorbell)

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
    async def eventually(check, timeout: float = 20.0):
        """The first true answer of `check`, an async callable."""
        async with asyncio.timeout(timeout):
            while not (found := await check()):
                await asyncio.sleep(0.02)
            return found

    async def publish(self, *numbers: int) -> list[str]:
        events = [
            new_event(TOPIC, {"sku": f"p{one}", "price": 1}, source="catalog", subject=f"p{one % 7}")
            for one in numbers
        ]
        async with self.pool.transaction() as tx:
            await self.outbox.publish(tx, *events)
        return [event.id for event in events]

    async def force(self, body, count: int = 1) -> None:
        for _ in range(count):
            await self.direct.publish(TOPIC, body, source="test", force=True)

    async def letters(self, *states: str):
        rows, _ = await deadletters.page(self.pool, Selection(), states=states or deadletters.STATES)
        return rows

    async def has(self, count: int) -> bool:
        """Whether both dead letter streams have this length."""
        return set((await self.lengths()).values()) == {count}

    async def finished(self, replay: int):
        found = await deadletters.replay(self.pool, replay)
        return found if found.state == "finished" else None

    def accept_everything(self) -> None:
        """What caused the validation failures is gone."""
        self.schemas._schemas.clear()

    async def effects(self) -> list[str]:
        return [row["event_id"] for row in await self.pool.fetch("select event_id from effect")]

    async def lengths(self) -> dict[str, int]:
        return {name: await self.store.xlen(name) for name in (f"{TOPIC}.dlq", "dlq:search-events")}


@pytest.fixture
async def world(database: str, broker_url: str, tmp_path: Path) -> AsyncIterator[Platform]:
    directory = tmp_path / "schemas"
    schema = directory / TOPIC / "1.json"
    schema.parent.mkdir(parents=True)
    schema.write_text(json.dumps(SCHEMA))
    schemas = Schemas.load(directory)
    pool = await Pool.open(database)
    await migrate(pool, "events", "opsplane.events.migrations")
    await migrate(pool, "events-operations", "opsplane.events.operations_migrations")
    await migrate(pool, "audit", "opsplane.database.audit_migrations")
    await pool.execute("create table effect (event_id text)")
    doorbell = Doorbell(database)
    broker, store = connect(broker_url), redis.from_url(broker_url)
    outbox = Outbox(schemas, "catalog", doorbell)
    service = Service("search", pool, outbox, SYSTEM)
    yield Platform(pool, broker, store, schemas, outbox, service, doorbell)
    await doorbell.close()
    await broker.close()
    await store.aclose()
    await pool.close()


@pytest.fixture
async def served(world, tmp_path):
    """Makes a client of an application with some routes; `as_(role, …)` are headers of somebody who has these roles."""
    (tmp_path / "keys").mkdir()
    ensure_keys(tmp_path / "keys")
    private, jwks = tmp_path / "keys" / "issuer.pem", tmp_path / "keys" / "jwks.json"
    issuer = TokenIssuer(private, jwks, "opsplane", "opsplane")
    async with contextlib.AsyncExitStack() as stack:

        async def make(routes):
            verifier = Verifier(jwks, "opsplane", "opsplane")
            app = create_app("events", routes, verifier=verifier, health=Health())
            transport = httpx.ASGITransport(app)
            found = await stack.enter_async_context(
                httpx.AsyncClient(transport=transport, base_url="http://events")
            )
            found.as_ = lambda *roles: {"Authorization": f"Bearer {issuer.issue('eve', roles)}"}
            found.headers["Authorization"] = f"Bearer {issuer.issue('sam', ['operations_staff'])}"
            found.customer = found.as_("customer")
            return found

        yield make


@pytest.fixture
async def client(world, served):
    """The events role's API, for its staff."""
    return await served(handlers(world.backbone, world.direct, {GROUP: [TOPIC], "idle-service": [TOPIC]}))


@pytest.fixture
async def own(world, served):
    """The API of the service that consumes in the group."""

    async def opened() -> Backbone:
        return world.backbone

    return await served([own_dead_letter_router([GROUP], opened)])

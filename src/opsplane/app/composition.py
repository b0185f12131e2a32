"""The connections of a process, each opened once, and what several roles make of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opsplane import config
from opsplane.clock import SYSTEM
from opsplane.database import Doorbell, Pool, migrate
from opsplane.events import Broker, BrokerUnavailable, Outbox, Relay, connect
from opsplane.events.configuration import EventsFile
from opsplane.events.fullness import FullStreams
from opsplane.events.schemas.projection import SchemaFollower
from opsplane.files import open_store
from opsplane.resilience import Duty, Stop, run_duties
from opsplane.service import Runtime, Service, collect_services, event_schemas
from opsplane.telemetry import Health, get_logger
from opsplane.web import TokenIssuer, Verifier


@dataclass
class Part:
    """One role in this process: what it serves and the duties beside it."""

    role: str
    health: Health
    handlers: list[Any] = field(default_factory=list)
    duties: list[Duty] = field(default_factory=list)


class Composition:
    """The connections of this process, each opened once, and the parts built from them."""

    def __init__(self, settings: config.Settings, stack: AsyncExitStack) -> None:
        identity = settings.identity
        jwks = Path(identity.jwks)
        self.settings = settings
        self.services = collect_services()
        self.schemas = event_schemas(self.services.values())
        self.verifier = Verifier(jwks, identity.issuer, identity.audience)
        self.issuer = TokenIssuer(Path(identity.private_key), jwks, identity.issuer, identity.audience)
        self._stack = stack
        self._pools: dict[str, Pool] = {}
        self._brokers: dict[str, Broker] = {}
        self._doorbells: dict[str, Doorbell] = {}
        self._follows = False

    async def pool(self, database: str) -> Pool:
        """Connections to a database."""
        if database not in self._pools:
            dsn = self.settings.databases[database].reveal()
            pool = self._pools[database] = await Pool.open(dsn, name=f"opsplane {database}", timeout=20.0)
            self._stack.push_async_callback(pool.close)
        return self._pools[database]

    def broker(self, user: str) -> Broker:
        """The broker with the rights of `user`."""
        if user not in self._brokers:
            url: config.Secret = getattr(self.settings.broker, user)
            allowed = self.settings.broker.allow_vulnerable
            broker = self._brokers[user] = connect(url.reveal(), allow_vulnerable=allowed)
            self._stack.push_async_callback(broker.close)
        return self._brokers[user]

    async def require_brokers(self) -> None:
        """Return when no broker is refused; one that is away is waited for later. Raises `VulnerableServer`."""
        for user, broker in self._brokers.items():
            try:
                await broker.call("PING")
            except BrokerUnavailable as error:
                get_logger("events").warning("events.broker_away", user=user, error=error.message)

    def objects(self) -> Any:
        """The object store."""
        objects = self.settings.objects
        return open_store(
            objects.url, objects.bucket, objects.signing_key.reveal(), self.settings.gateway.public_url
        )

    def doorbell(self, pool: Pool) -> Doorbell:
        """The doorbell of a database."""
        if pool.dsn not in self._doorbells:
            doorbell = self._doorbells[pool.dsn] = Doorbell(pool.dsn)
            self._stack.push_async_callback(doorbell.close)
        return self._doorbells[pool.dsn]

    async def following(self) -> list[Duty]:
        """The duty that tells this process which schemas are active: one, however many roles it has."""
        if self._follows:
            return []
        self._follows = True
        follower = SchemaFollower(self.broker("service"), self.schemas)
        await follower.look()
        return [follower]

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Within it the active schemas are followed, for a composition whose parts are not run."""
        stop = Stop()
        task = asyncio.create_task(run_duties(await self.following(), stop), name="schemas")
        try:
            yield
        finally:
            stop.set()
            await task

    async def runtime(self, service: Service) -> Runtime:
        """What a service's handlers run with."""
        pool = await self.pool(service.database)
        outbox = Outbox(self.schemas, service.name, self.doorbell(pool))
        return Runtime(pool, outbox, self.verifier, self.issuer, SYSTEM, self.objects())

    def relay(self, database: str, pool: Pool) -> Duty:
        """The duty that sends what is in the outbox of a database."""
        broker = self.broker("service")
        kept = EventsFile(self.settings.events_file).at_start().retention.inbox
        return Relay(
            database, pool, broker, self.doorbell(pool), full=FullStreams(broker), inbox_retention=kept
        )


async def migrate_operations(pool: Pool) -> None:
    """Bring the operations database up to date: audit, outbox, tasks."""
    await migrate(pool, "audit", "opsplane.database.audit_migrations")
    await migrate(pool, "outbox", "opsplane.events.migrations")  # "events" is the events role's own here
    await migrate(pool, "tasks", "opsplane.tasks.migrations")


@asynccontextmanager
async def composed(settings: config.Settings) -> AsyncIterator[Composition]:
    """A composition whose connections are closed at the end."""
    async with AsyncExitStack() as stack:
        yield Composition(settings, stack)


def asking(pool: Pool) -> Health:
    """Health that asks the database."""

    async def database() -> None:
        await pool.fetch_one("select 1")

    health = Health()
    health.add("database", database)
    return health

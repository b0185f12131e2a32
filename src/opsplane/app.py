"""The composition root: the only module that knows every room. Read from top to bottom it is the flow.

An installation's settings → connections → the roles asked for, each an HTTP application and its duties → run.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsplane import config
from opsplane.clock import SYSTEM
from opsplane.errors import InvalidInput

if TYPE_CHECKING:
    from opsplane.database import Doorbell, Pool
    from opsplane.events import Broker
    from opsplane.events.backbone import Backbone
    from opsplane.resilience import Duty, Stop
    from opsplane.service import Runtime, Service
    from opsplane.tasks import TaskType
    from opsplane.telemetry import Health

SERVICES = tuple(sorted(entry.name for entry in metadata.entry_points(group="opsplane.services")))
PROCESSES: Mapping[str, tuple[str, ...]] = {
    "platform": ("gateway", "operations", "events"),
    "worker": ("worker",),
    "commerce": SERVICES,
}
PLATFORM = (*PROCESSES["platform"], *PROCESSES["worker"])
_ROUTE_TO = re.compile(r"\s*- \{.*\bservice: (?P<service>[\w-]+)")


def default_gateway_yaml() -> str:
    """The reference `gateway.yaml`, without the routes to services that are not installed."""
    text = resources.files("opsplane.commerce").joinpath("gateway.yaml").read_text(encoding="utf-8")
    known = {*SERVICES, *PLATFORM}
    kept = []
    for line in text.splitlines(keepends=True):
        route = _ROUTE_TO.match(line)
        if route is None or route["service"] in known:
            kept.append(line)
    return "".join(kept)


def default_events_yaml() -> str:
    """The `events.yaml` a new installation starts with: the defaults, explained."""
    return resources.files("opsplane").joinpath("events", "events.yaml").read_text(encoding="utf-8")


def run(roles: Sequence[str], state: Path) -> None:
    """Serve `roles` of the installation in `state` until SIGTERM or SIGINT, then stop gracefully.

    Raises `InvalidInput` for an unknown role, `NotFound` where there is no installation.
    """
    known = (*PLATFORM, *SERVICES)
    unknown = [role for role in roles if role not in known]
    if unknown or not roles:
        raise InvalidInput(
            f"There is no role {', '.join(unknown)}." if unknown else "No role was named.",
            remedy=f"Roles are: {', '.join(known)}.",
        )
    from opsplane.telemetry import configure_logging

    settings = config.load(state)
    configure_logging("+".join(roles), sys.stdout, settings.logs.level)
    import uvloop

    uvloop.run(_run(settings, roles))


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
        from opsplane.service import collect_services, event_schemas
        from opsplane.web import TokenIssuer, Verifier

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
        from opsplane.database import Pool

        if database not in self._pools:
            dsn = self.settings.databases[database].reveal()
            pool = self._pools[database] = await Pool.open(dsn, name=f"opsplane {database}", timeout=20.0)
            self._stack.push_async_callback(pool.close)
        return self._pools[database]

    def broker(self, user: str) -> Broker:
        """The broker with the rights of `user`."""
        from opsplane.events import connect

        if user not in self._brokers:
            url: config.Secret = getattr(self.settings.broker, user)
            allowed = self.settings.broker.allow_vulnerable
            broker = self._brokers[user] = connect(url.reveal(), allow_vulnerable=allowed)
            self._stack.push_async_callback(broker.close)
        return self._brokers[user]

    async def require_brokers(self) -> None:
        """Return when no broker is refused; one that is away is waited for later. Raises `VulnerableServer`."""
        from opsplane.events import BrokerUnavailable
        from opsplane.telemetry import get_logger

        for user, broker in self._brokers.items():
            try:
                await broker.call("PING")
            except BrokerUnavailable as error:
                get_logger("events").warning("events.broker_away", user=user, error=error.message)

    def objects(self) -> Any:
        """The object store."""
        from opsplane.files import open_store

        objects = self.settings.objects
        return open_store(
            objects.url, objects.bucket, objects.signing_key.reveal(), self.settings.gateway.public_url
        )

    def doorbell(self, pool: Pool) -> Doorbell:
        """The doorbell of a database."""
        from opsplane.database import Doorbell

        if pool.dsn not in self._doorbells:
            doorbell = self._doorbells[pool.dsn] = Doorbell(pool.dsn)
            self._stack.push_async_callback(doorbell.close)
        return self._doorbells[pool.dsn]

    async def _following(self) -> list[Duty]:
        """The duty that tells this process which schemas are active: one, however many roles it has."""
        from opsplane.events.schemas.projection import SchemaFollower

        if self._follows:
            return []
        self._follows = True
        follower = SchemaFollower(self.broker("service"), self.schemas)
        await follower.look()
        return [follower]

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Within it the active schemas are followed, for a composition whose parts are not run."""
        from opsplane.resilience import Stop, run_duties

        stop = Stop()
        task = asyncio.create_task(run_duties(await self._following(), stop), name="schemas")
        try:
            yield
        finally:
            stop.set()
            await task

    async def runtime(self, service: Service) -> Runtime:
        """What a service's handlers run with."""
        from opsplane.events import Outbox
        from opsplane.service import Runtime

        pool = await self.pool(service.database)
        outbox = Outbox(self.schemas, service.name, self.doorbell(pool))
        return Runtime(pool, outbox, self.verifier, self.issuer, SYSTEM, self.objects())

    def _relay(self, database: str, pool: Pool) -> Duty:
        from opsplane.events import Relay
        from opsplane.events.configuration import EventsFile
        from opsplane.events.fullness import FullStreams

        broker = self.broker("service")
        kept = EventsFile(self.settings.events_file).at_start().retention.inbox
        return Relay(
            database, pool, broker, self.doorbell(pool), full=FullStreams(broker), inbox_retention=kept
        )

    async def part(self, role: str) -> Part:
        """The part for a role."""
        builders: Mapping[str, Callable[[], Awaitable[Part]]] = {
            "gateway": self._gateway,
            "operations": self._operations,
            "events": self._events,
            "worker": self._worker,
        }
        return await builders[role]() if role in builders else await self._service(self.services[role])

    async def _gateway(self) -> Part:
        from opsplane.edge import edge_handlers
        from opsplane.gateway import GatewayDuty, Place, Publisher
        from opsplane.telemetry import Health

        gateway, envoy = self.settings.gateway, self.settings.engines.envoy
        directory, admin = Path(gateway.directory), Path(envoy.admin_socket)
        served = {
            **dict.fromkeys(PLATFORM, ()),
            **{s.name: s.resources for s in self.services.values()},
        }
        addresses = {name: self.settings.listen[name] for name in served}
        duty = GatewayDuty(
            Path(gateway.file),
            Publisher(directory, admin, Path(envoy.bin)),
            Place(directory, "127.0.0.1", envoy.port),
            services=served,
            endpoints={name: [(address.host, address.port)] for name, address in addresses.items()},
            jwks=Path(self.settings.identity.jwks),
            admin_socket=admin,
            log_link=Path(self.settings.state) / "logs" / "access.log",
        )
        health = Health()
        health.add("gateway", duty.check)
        upstreams = {name: address.url for name, address in addresses.items() if name != "gateway"}
        return Part("gateway", health, edge_handlers(upstreams, version=metadata.version("opsplane")), [duty])

    async def _operations(self) -> Part:
        from opsplane.database import append_audit
        from opsplane.events import Outbox
        from opsplane.files import LocalStore, upload_handlers
        from opsplane.service import task_types
        from opsplane.tasks import (
            BulkBook,
            BulkRunner,
            Dispatcher,
            Joiner,
            LimitBook,
            Producer,
            Pruner,
            RemoteWork,
            Rescuer,
            ScheduleBook,
            Scheduler,
            Sweeper,
            TaskControl,
            TaskGauges,
            TaskStore,
        )
        from opsplane.tasks.api import LiveTasks, TaskDesk, UploadHook, handlers
        from opsplane.tasks.callbacks import CallbackBook, CallbackPolicy
        from opsplane.tasks.callbacks.post import Post
        from opsplane.tasks.callbacks.sender import CallbackSender
        from opsplane.tasks.callbacks.signing import SigningSecrets

        wanted = self.settings.callbacks
        policy = CallbackPolicy.of(http=wanted.http, ports=wanted.ports, allow=wanted.allow)
        secrets = SigningSecrets(self.settings.callback_secrets)
        pool, objects = await self.pool("operations"), self.objects()
        await migrate_operations(pool)
        doorbell = self.doorbell(pool)
        outbox = Outbox(self.schemas, "operations", doorbell)
        types = task_types(self.services.values())
        control, store = TaskControl(pool, outbox, doorbell), TaskStore(pool)
        live, producer = LiveTasks(pool, doorbell), Producer(pool, types, outbox, doorbell)
        scheduler = Scheduler(producer, control, doorbell)
        remote = RemoteWork(pool, types, outbox, doorbell)
        desk = TaskDesk(
            store=store,
            producer=producer,
            control=control,
            limits=LimitBook(pool, doorbell),
            bulk=BulkBook(pool, doorbell),
            schedules=ScheduleBook(producer, doorbell),
            scheduler=scheduler,
            live=live,
            remote=remote,
            objects=objects,
            audit=append_audit(pool),
            callbacks=policy,
        )
        served = list(handlers(desk))
        if isinstance(objects, LocalStore):
            served += upload_handlers(objects, UploadHook(store, objects, control))
        duties: list[Duty] = [
            live,
            remote.dealer,
            self._relay("operations", pool),
            Rescuer(pool, types, doorbell=doorbell, outbox=outbox),
            Sweeper(pool, objects, control),
            Joiner(pool, control, doorbell),
            Dispatcher(pool, doorbell),
            BulkRunner(pool, outbox, doorbell),
            TaskGauges(pool),
            scheduler,
            CallbackSender(CallbackBook(pool), secrets, Post(policy)),
            Pruner(pool, objects),
            *await self._following(),
        ]
        return Part("operations", _asking(pool), served, duties)

    async def _worker(self) -> Part:
        from opsplane.events import Outbox
        from opsplane.service import migrate_service
        from opsplane.tasks import Worker

        pool = await self.pool("operations")
        await migrate_operations(pool)
        doorbell = self.doorbell(pool)
        outbox = Outbox(self.schemas, "operations", doorbell)
        for service in self.services.values():
            await migrate_service(service, await self.pool(service.database))
        worker = Worker(pool, Premises(Path(self.settings.state)), outbox=outbox, doorbell=doorbell)
        return Part("worker", _asking(pool), [], [worker, *await self._following()])

    async def _events(self) -> Part:
        from opsplane.database import migrate
        from opsplane.events import Outbox
        from opsplane.events.api import handlers
        from opsplane.events.backbone import Backbone
        from opsplane.events.configuration import EventsFile
        from opsplane.events.direct import DirectPublisher
        from opsplane.events.duties import events_duties
        from opsplane.events.schemas.files import register_files
        from opsplane.service import topology
        from opsplane.tasks.story import TaskStory

        pool, broker = await self.pool("operations"), self.broker("events")
        await migrate(pool, "audit", "opsplane.database.audit_migrations")
        await migrate(pool, "outbox", "opsplane.events.migrations")
        await migrate(pool, "events", "opsplane.events.operations_migrations")
        outbox = Outbox(self.schemas, "operations", self.doorbell(pool))
        file = EventsFile(self.settings.events_file)
        file.at_start()
        publisher = DirectPublisher(broker, self.schemas, file=file, pool=pool, outbox=outbox)
        known = topology(self.services.values())
        await register_files(pool, self.schemas.declared, known)
        databases = {name: await self.pool(service.database) for name, service in self.services.items()}
        backbone = Backbone(
            pool, broker, databases=databases, file=file, schemas=self.schemas, topology=known
        )
        groups = known.groups()
        topics = self.schemas.types()
        duties = events_duties(
            pool,
            broker,
            sorted(groups),
            topics,
            file=file,
            schemas=self.schemas,
            api=self.settings.gateway.public_url,
        )
        served = handlers(backbone, publisher, groups, TaskStory(pool))
        return Part("events", _asking(pool), list(served), duties)

    async def _service(self, service: Service) -> Part:
        from opsplane.events import Service as Owner
        from opsplane.events import consumer_group
        from opsplane.events.api import own_dead_letter_router
        from opsplane.service import migrate_service

        pool, broker = await self.pool(service.database), self.broker("service")
        await migrate_service(service, pool)
        runtime = await self.runtime(service)
        owner = Owner(service.name, pool, runtime.outbox, SYSTEM)
        duties: list[Duty] = [self._relay(service.database, pool), *await self._following()]
        duties += [consumer_group(found, owner, broker, self.schemas) for found in service.groups().values()]
        served = list(service.api(runtime))
        if service.consumers:
            served.append(own_dead_letter_router(sorted(service.groups()), self._backbone_of(broker)))
        return Part(service.name, _asking(pool), served, duties)

    def _backbone_of(self, broker: Broker) -> Callable[[], Awaitable[Backbone]]:
        """Opens what a service's own view of its dead letters works with: a service that is not asked needs none."""
        from opsplane.events.backbone import Backbone

        async def opened() -> Backbone:
            return Backbone(await self.pool("operations"), broker, schemas=self.schemas)

        return opened


@dataclass(frozen=True)
class Premises:
    """The workshop of an installation: every service's task types, each with its service's own database.

    Picklable by its state directory, so that a handler's own process opens the same.
    """

    state: Path

    def types(self) -> Sequence[TaskType]:
        """Every type of task the services declare."""
        from opsplane.service import collect_services, task_types

        return task_types(collect_services().values())

    @asynccontextmanager
    async def runtime(self, service: str | None) -> AsyncIterator[Runtime]:
        """The runtime of a service in the running loop."""
        from opsplane.service import collect_services

        async with _composed(config.load(self.state)) as composition, composition.following():
            yield await composition.runtime(collect_services()[service or SERVICES[0]])


async def migrate_operations(pool: Pool) -> None:
    """Bring the operations database up to date: audit, outbox, tasks."""
    from opsplane.database import migrate

    await migrate(pool, "audit", "opsplane.database.audit_migrations")
    await migrate(pool, "outbox", "opsplane.events.migrations")  # "events" is the events role's own here
    await migrate(pool, "tasks", "opsplane.tasks.migrations")


async def _run(settings: config.Settings, roles: Sequence[str]) -> None:
    from opsplane.resilience import Stop, run_duties

    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with _composed(settings) as composition:
        parts = [await composition.part(role) for role in roles]
        await composition.require_brokers()
        duties = [duty for part in parts for duty in part.duties]
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(_serve(composition, part, stop), name=part.role)
            group.create_task(run_duties(duties, stop, grace=10.0), name="duties")


@asynccontextmanager
async def _composed(settings: config.Settings) -> AsyncIterator[Composition]:
    async with AsyncExitStack() as stack:
        yield Composition(settings, stack)


async def _serve(composition: Composition, part: Part, stop: Stop) -> None:
    from opsplane.web import create_app, serve

    application = create_app(part.role, part.handlers, verifier=composition.verifier, health=part.health)
    address = composition.settings.listen[part.role]
    await serve(application, address.host, address.port, stop)


def _asking(pool: Pool) -> Health:
    from opsplane.telemetry import Health

    async def database() -> None:
        await pool.fetch_one("select 1")

    health = Health()
    health.add("database", database)
    return health

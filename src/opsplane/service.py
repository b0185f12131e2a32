"""What a service is: one frozen declaration, found through the entry points `opsplane.services`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsplane.clock import SYSTEM, Clock
from opsplane.database import Connection, Pool, migrate
from opsplane.errors import InvalidInput
from opsplane.events import Consumer, Outbox, Schemas
from opsplane.events.schemas import Rules
from opsplane.events.topology import Subscription, Topology
from opsplane.tasks import TaskType, task_schemas
from opsplane.tasks.bulk import export_type, import_type
from opsplane.telemetry import get_logger
from opsplane.web import TokenIssuer, Verifier

if TYPE_CHECKING:
    from litestar.types import ControllerRouterHandler

    from opsplane.files import Entity, ObjectStore

log = get_logger("service")
GROUP = "opsplane.services"
_LIBRARY = {"events": "opsplane.events.migrations", "files": "opsplane.files.migrations"}


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a running service is given: its own database and outbox, the platform's keys, time and objects."""

    pool: Pool
    outbox: Outbox
    verifier: Verifier
    issuer: TokenIssuer | None = None
    clock: Clock = SYSTEM
    objects: ObjectStore | None = None


Imported = Callable[[Runtime, Connection, Sequence[Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class EntityBinding:
    """An entity of a service, and what else happens in the transaction that merges a chunk of imported rows.

    `imported(runtime, tx, keys)` gets the keys of the chunk's rows, which `tx` already sees; it usually publishes
    one bulk event. An entity with `importable=False` is for export only.
    """

    entity: Entity
    imported: Imported | None = None
    importable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service: everything `app` needs to serve, consume, import, export and route for it.

    `package` holds the directories `migrations` (`NNNN_name.sql`) and `schemas` (`<event type>/<version>.json`).
    Every resource in `resources` is routed from `/api/v1/<resource>`. `api` makes the handlers of its HTTP
    application. `tasks` are types of its own, beside the import and export each entity gets. `rules` are what JSON
    Schema cannot say about its events, by event type.
    """

    name: str
    database: str
    package: str
    api: Callable[[Runtime], Sequence[ControllerRouterHandler]]
    resources: tuple[str, ...] = ()
    consumers: tuple[Consumer, ...] = ()
    entities: tuple[EntityBinding, ...] = ()
    tasks: tuple[TaskType, ...] = ()
    rules: Rules = field(default_factory=dict)

    @property
    def migrations(self) -> str:
        """The package of its own migrations."""
        return f"{self.package}.migrations"

    @property
    def schemas(self) -> Path:
        """The directory of its event schemas."""
        return Path(str(resources.files(self.package))) / "schemas"

    def groups(self) -> Mapping[str, list[Consumer]]:
        """Its consumers by consumer group."""
        found: dict[str, list[Consumer]] = {}
        for consumer in self.consumers:
            found.setdefault(consumer.group, []).append(consumer)
        return found


def collect_services() -> dict[str, Service]:
    """Every declared service by name, in the order of their names.

    Raises `InvalidInput` naming an entry point that does not load, is no service, or claims what another has.
    """
    found: dict[str, Service] = {}
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        try:
            declared = entry.load()
        except Exception as error:
            raise InvalidInput(
                f"The service {entry.name} ({entry.value}) does not load: {error}",
                remedy="Correct or uninstall its package.",
            ) from error
        if not isinstance(declared, Service):
            raise InvalidInput(
                f"The entry point {entry.name} ({entry.value}) names no opsplane.service.Service."
            )
        found[declared.name] = declared
    _refuse_clashes(found.values())
    return found


def event_schemas(services: Iterable[Service]) -> Schemas:
    """The event schemas and rules of all the services and of tasks: a consumer knows the types of others, too."""
    found = task_schemas()
    for service in services:
        found = found.merged(Schemas.load(service.schemas, rules=service.rules))
    return found


def topology(services: Iterable[Service]) -> Topology:
    """Who publishes and who consumes what: a service publishes the events whose schemas are its own."""
    found = list(services)
    publishers = dict.fromkeys(task_schemas().types(), "operations")
    for service in found:
        publishers |= dict.fromkeys(Schemas.load(service.schemas).types(), service.name)
    subscriptions = [_subscription(service, consumer) for service in found for consumer in service.consumers]
    return Topology(subscriptions, publishers)


def _subscription(service: Service, consumer: Consumer) -> Subscription:
    described = inspect.cleandoc(consumer.handler.__doc__ or "")
    name = getattr(consumer.handler, "__name__", "handler")
    return Subscription(consumer.group, service.name, consumer.topics, name, described, consumer.dead_letters)


def task_types(services: Iterable[Service]) -> list[TaskType]:
    """Every type of task: what the services declare, each its service's own, and import and export of each of their entities."""
    return [kind for service in services for kind in (*_own_types(service), *_bulk_types(service))]


async def migrate_service(service: Service, pool: Pool) -> None:
    """Bring the service's database up to date: the library's tables, then its own."""
    for source, package in service_migrations(service).items():
        for name in await migrate(pool, source, package):
            log.info("service.migrated", service=service.name, source=source, migration=name)


def service_migrations(service: Service) -> dict[str, str]:
    """The packages of migrations its database has, by their source, in order."""
    return {**_LIBRARY, service.name: service.migrations}


def _own_types(service: Service) -> Iterator[TaskType]:
    return (replace(kind, service=service.name) for kind in service.tasks)


def _bulk_types(service: Service) -> Iterator[TaskType]:
    for binding in service.entities:
        if binding.importable:
            yield import_type(binding.entity, service=service.name, imported=binding.imported)
        yield export_type(binding.entity, service=service.name)


def _refuse_clashes(services: Iterable[Service]) -> None:
    owners: dict[str, str] = {}
    for service in services:
        claims = [f"resource {name}" for name in service.resources]
        claims += [f"database {service.database}"]
        claims += [f"entity {binding.entity.name}" for binding in service.entities]
        claims += [f"task type {kind.name}" for kind in task_types([service])]
        claims += [f"consumer group {group}" for group in service.groups()]
        for claim in claims:
            if claim in owners:
                raise InvalidInput(f"The services {owners[claim]} and {service.name} both claim {claim}.")
            owners[claim] = service.name

"""A service: its API, its relay and its consumers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from opsplane.app.composition import Composition, Part, asking
from opsplane.clock import SYSTEM
from opsplane.events import Broker, consumer_group
from opsplane.events import Service as Owner
from opsplane.events.api import own_dead_letter_router
from opsplane.events.backbone import Backbone
from opsplane.resilience import Duty
from opsplane.service import migrate_service


async def part(composition: Composition, name: str) -> Part:
    """The part of the service of this name."""
    service = composition.services[name]
    pool, broker = await composition.pool(service.database), composition.broker("service")
    await migrate_service(service, pool)
    runtime = await composition.runtime(service)
    owner = Owner(service.name, pool, runtime.outbox, SYSTEM)
    duties: list[Duty] = [composition.relay(service.database, pool), *await composition.following()]
    duties += [
        consumer_group(found, owner, broker, composition.schemas) for found in service.groups().values()
    ]
    served = list(service.api(runtime))
    if service.consumers:
        served.append(own_dead_letter_router(sorted(service.groups()), _backbone_of(composition, broker)))
    return Part(service.name, asking(pool), served, duties)


def _backbone_of(composition: Composition, broker: Broker) -> Callable[[], Awaitable[Backbone]]:
    """Opens what a service's own view of its dead letters works with: a service that is not asked needs none."""

    async def opened() -> Backbone:
        return Backbone(await composition.pool("operations"), broker, schemas=composition.schemas)

    return opened

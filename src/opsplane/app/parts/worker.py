"""The worker: runs the services' tasks."""

from __future__ import annotations

from pathlib import Path

from opsplane.app.composition import Composition, Part, asking, migrate_operations
from opsplane.app.premises import Premises
from opsplane.events import Outbox
from opsplane.service import migrate_service
from opsplane.tasks import Worker


async def part(composition: Composition) -> Part:
    """The part of a worker."""
    pool = await composition.pool("operations")
    await migrate_operations(pool)
    doorbell = composition.doorbell(pool)
    outbox = Outbox(composition.schemas, "operations", doorbell)
    for service in composition.services.values():
        await migrate_service(service, await composition.pool(service.database))
    worker = Worker(pool, Premises(Path(composition.settings.state)), outbox=outbox, doorbell=doorbell)
    return Part("worker", asking(pool), [], [worker, *await composition.following()])

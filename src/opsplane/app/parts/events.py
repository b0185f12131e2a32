"""Events: the API of topics, consumers, dead letters and schemas, and the duties of the backbone."""

from __future__ import annotations

from opsplane.app.composition import Composition, Part, asking
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


async def part(composition: Composition) -> Part:
    """The part of the backbone."""
    pool, broker = await composition.pool("operations"), composition.broker("events")
    await migrate(pool, "audit", "opsplane.database.audit_migrations")
    await migrate(pool, "outbox", "opsplane.events.migrations")
    await migrate(pool, "events", "opsplane.events.operations_migrations")
    outbox = Outbox(composition.schemas, "operations", composition.doorbell(pool))
    file = EventsFile(composition.settings.events_file)
    file.at_start()
    publisher = DirectPublisher(broker, composition.schemas, file=file, pool=pool, outbox=outbox)
    known = topology(composition.services.values())
    await register_files(pool, composition.schemas.declared, known)
    databases = {
        name: await composition.pool(service.database) for name, service in composition.services.items()
    }
    backbone = Backbone(
        pool, broker, databases=databases, file=file, schemas=composition.schemas, topology=known
    )
    groups = known.groups()
    topics = composition.schemas.types()
    duties = events_duties(
        pool,
        broker,
        sorted(groups),
        topics,
        file=file,
        schemas=composition.schemas,
        api=composition.settings.gateway.public_url,
    )
    served = handlers(backbone, publisher, groups, TaskStory(pool))
    return Part("events", asking(pool), list(served), duties)

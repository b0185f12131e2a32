"""What an operator's actions on events work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from opsplane.database import Pool
from opsplane.events.broker import Broker
from opsplane.events.configuration import EventsFile
from opsplane.events.personal import Personal
from opsplane.events.schemas import Schemas
from opsplane.events.topology import Topology

ROOM = "opsplane.events"  # where the statements are
ROLE = "operations_staff"  # who may act


@dataclass(frozen=True, slots=True)
class Backbone:
    """The operations database, the broker, who acts, the databases with outboxes (needed for a rebuild only), what
    `events.yaml` wants, the event schemas, and who publishes and consumes what.
    """

    pool: Pool
    broker: Broker
    actor: str = "opsplane"
    databases: Mapping[str, Pool] = field(default_factory=dict)
    file: EventsFile = field(default_factory=EventsFile)
    schemas: Schemas = field(default_factory=Schemas)
    topology: Topology = field(default_factory=Topology)

    @property
    def personal(self) -> Personal:
        """What masks personal data in what is shown of events."""
        return Personal(self.schemas)

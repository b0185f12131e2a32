"""What an operator's actions on events work with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from opsplane.database import Pool
from opsplane.events.broker import Broker
from opsplane.events.configuration import EventsFile

ROOM = "opsplane.events"  # where the statements are
ROLE = "operations_staff"  # who may act


@dataclass(frozen=True, slots=True)
class Backbone:
    """The operations database, the broker, who acts, the databases with outboxes (needed for a rebuild only), and
    what `events.yaml` wants.
    """

    pool: Pool
    broker: Broker
    actor: str = "opsplane"
    databases: Mapping[str, Pool] = field(default_factory=dict)
    file: EventsFile = field(default_factory=EventsFile)

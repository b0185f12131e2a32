"""The checks, by area, what others stand on first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opsplane.ops.check import Check
from opsplane.ops.checks.breakers import Breakers
from opsplane.ops.checks.broker import LostTopics
from opsplane.ops.checks.callbacks import Callbacks
from opsplane.ops.checks.consumers import Consumers, PendingEvents, Retries
from opsplane.ops.checks.database import Connections, Migrations, Snapshots
from opsplane.ops.checks.dead_letters import DeadLetters, ForgottenLetters
from opsplane.ops.checks.engines import Engines
from opsplane.ops.checks.outboxes import Outboxes
from opsplane.ops.checks.parked import ParkedSubjects
from opsplane.ops.checks.platform import Disk, Objects, Roles
from opsplane.ops.checks.queues import Queues, Uploads
from opsplane.ops.checks.schedules import Schedules
from opsplane.ops.checks.schemas import SchemaDrift
from opsplane.ops.checks.streams import Streams
from opsplane.ops.checks.tasks import FailedTasks, Partitions, StuckTasks
from opsplane.ops.checks.workers import Workers

ENGINES: Sequence[Check] = (Engines(),)  # in every area: without them nothing else can be looked at
PLATFORM: Sequence[Check] = (Roles(), Disk(), Snapshots(), Connections(), Migrations(), Objects())
EVENTS: Sequence[Check] = (
    Breakers(),
    Consumers(),
    PendingEvents(),
    Retries(),
    ParkedSubjects(),
    DeadLetters(),
    ForgottenLetters(),
    Outboxes(),
    LostTopics(),
    Streams(),
    SchemaDrift(),
)
OPERATIONS: Sequence[Check] = (
    Queues(),
    Workers(),
    Schedules(),
    StuckTasks(),
    Uploads(),
    FailedTasks(),
    Callbacks(),
    Partitions(),
)
AREAS: Mapping[str, Sequence[Check]] = {
    "all": (*ENGINES, *PLATFORM, *EVENTS, *OPERATIONS),
    "platform": (*ENGINES, *PLATFORM),
    "events": (*ENGINES, *EVENTS),
    "operations": (*ENGINES, *OPERATIONS),
}

"""The checks, by area."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opsplane.ops.check import Check
from opsplane.ops.checks.broker import LostTopics
from opsplane.ops.checks.consumers import Consumers
from opsplane.ops.checks.dead_letters import DeadLetters
from opsplane.ops.checks.outboxes import Outboxes
from opsplane.ops.checks.platform import Disk, Partitions, Roles, Snapshots
from opsplane.ops.checks.queues import FailedTasks, Queues, Workers

PLATFORM: Sequence[Check] = (Roles(), Disk(), Snapshots())
EVENTS: Sequence[Check] = (Consumers(), DeadLetters(), Outboxes(), LostTopics())
OPERATIONS: Sequence[Check] = (Queues(), Workers(), FailedTasks(), Partitions())
AREAS: Mapping[str, Sequence[Check]] = {
    "all": (*PLATFORM, *EVENTS, *OPERATIONS),
    "platform": PLATFORM,
    "events": EVENTS,
    "operations": OPERATIONS,
}

"""The duties of the `events` role."""

from __future__ import annotations

from collections.abc import Sequence

from opsplane.clock import SYSTEM, Clock
from opsplane.database import Pool
from opsplane.events.alerts import Alerting
from opsplane.events.breakers.holds import BreakerProjection
from opsplane.events.breakers.recovery import BreakerRecovery
from opsplane.events.broker import Broker
from opsplane.events.checkpoints import Checkpoints
from opsplane.events.configuration import EventsFile
from opsplane.events.deadletters import DeadLetterKeeper, Replayer
from opsplane.events.delayed import DelayedMover
from opsplane.events.epochs import EpochProjection
from opsplane.events.ordered import ParkedKeeper
from opsplane.events.pauses import PauseProjection
from opsplane.events.retries import RetryMover
from opsplane.events.schemas import Schemas
from opsplane.events.schemas.projection import SchemaProjection
from opsplane.events.trimming import Trimmer
from opsplane.resilience import Duty


def events_duties(
    pool: Pool,
    broker: Broker,
    groups: Sequence[str],
    topics: Sequence[str] = (),
    clock: Clock = SYSTEM,
    file: EventsFile | None = None,
    schemas: Schemas | None = None,
    api: str = "",
) -> list[Duty]:
    """Everything the role does beside serving HTTP; `pool` is the operations database, `broker` the events user's,
    `file` the installation's events.yaml, `schemas` say what is personal, `api` is the
    address under which the platform is reached.
    """
    keeper = DeadLetterKeeper(pool, broker, topics, schemas, file)
    return [
        RetryMover(broker, groups, clock),
        ParkedKeeper(pool, broker, groups),
        DelayedMover(broker, clock),
        Trimmer(broker, file or EventsFile(), clock),
        keeper,
        Alerting(pool, file or EventsFile(), clock, api=api),
        Replayer(pool, broker),
        Checkpoints(pool, broker, keeper.ingest.step, topics),
        PauseProjection(pool, broker),
        EpochProjection(pool, broker),
        SchemaProjection(pool, broker, schemas or Schemas()),
        BreakerProjection(pool, broker),
        BreakerRecovery(pool, broker, clock),
    ]

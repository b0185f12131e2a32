"""What holds for a topic and how it stands: its policy, whether it is full and because of whom."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from opsplane.events import delayed
from opsplane.events.broker import Broker
from opsplane.events.brokers.keys import EVICTED, FULL
from opsplane.events.configuration import TopicPolicy
from opsplane.events.trimming import marks


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """`full_because`: the groups whose unread events fill the stream; `evicted`: unread entries that had to go, ever,
    from `evicted_from` the last time; `delayed`: direct events that wait for their time.
    """

    pattern: str
    retention_seconds: float
    max_length: int
    on_full: str
    durability: str
    full_since: datetime | None
    full_because: list[str]
    evicted: int
    evicted_at: datetime | None
    evicted_from: list[str]
    delayed: int


async def standing(broker: Broker, topic: str, policy: TopicPolicy) -> Standing:
    """How the topic stands now."""
    full = (await marks(broker, FULL)).get(topic)
    gone = (await marks(broker, EVICTED)).get(topic)
    return Standing(
        pattern=policy.match,
        retention_seconds=policy.retention,
        max_length=policy.max_length,
        on_full=policy.on_full,
        durability=policy.durability,
        full_since=datetime.fromtimestamp(full.at, UTC) if full else None,
        full_because=full.groups if full else [],
        evicted=gone.count if gone else 0,
        evicted_at=datetime.fromtimestamp(gone.at, UTC) if gone else None,
        evicted_from=gone.groups if gone else [],
        delayed=await delayed.count(broker, topic),
    )

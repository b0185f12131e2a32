"""Deduplicate: what the group handled lately is acknowledged without being handled again.

Only a hint that saves work: where an effect must happen once, the handler uses the inbox.
"""

from __future__ import annotations

from collections.abc import Sequence

from opsplane.events.broker import Broker
from opsplane.events.chain.work import Work


async def mark_seen(broker: Broker, group: str, works: Sequence[Work]) -> None:
    """Set `seen` on works whose event was handled before, or stands in this batch twice."""
    if not works:
        return
    known = await broker.seen(group, [work.identity for work in works])
    here: set[str] = set()
    for work, seen in zip(works, known, strict=True):
        work.seen = seen or work.identity in here
        here.add(work.identity)

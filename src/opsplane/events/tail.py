"""The tail: what a broker that died had answered for and not written down yet.

With `appendfsync everysec` a power cut costs the last second or two; the end of the process alone can cost writes too,
as they are kept back while the disk is busy. The log is cut at its end: behind an entry that is there, everything of
earlier milliseconds is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from psycopg.rows import DictRow

from opsplane.database import Pool, sql
from opsplane.events.broker import Broker
from opsplane.events.streams import number
from opsplane.telemetry import get_logger

log = get_logger("events")
LAST_SECONDS = 10.0
PAGE = 500


async def take_back_lost(pool: Pool, broker: Broker) -> int:
    """How many of the events published last the broker has lost; they wait in the outbox again.

    A broker that has none of them was emptied: that is a rebuild's work, which spares groups without an inbox.
    """
    published = await pool.fetch(sql(__package__, "select_last_published"), [LAST_SECONDS])
    gone = await _behind_the_last_there(broker, published)
    if gone:
        await pool.execute(sql(__package__, "take_back"), [gone])
        log.warning("events.tail_lost", count=len(gone))
    return len(gone)


async def _behind_the_last_there(broker: Broker, published: Sequence[DictRow]) -> list[int]:
    gone: list[int] = []
    last_there: int | None = None
    for first in range(0, len(published), PAGE):
        page = published[first : first + PAGE]
        found = await asyncio.gather(
            *(broker.call("XRANGE", row["topic"], row["stream_id"], row["stream_id"]) for row in page)
        )
        for row, entry in zip(page, found, strict=True):
            milliseconds = number(row["stream_id"])[0]
            if last_there is not None and milliseconds < last_there:
                return gone
            if not entry:
                gone.append(row["id"])
            elif last_there is None:
                last_there = milliseconds
    return gone if last_there is not None else []

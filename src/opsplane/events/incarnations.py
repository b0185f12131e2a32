"""The broker's incarnations: a mark in its memory tells whether that memory is still the one we knew."""

from __future__ import annotations

import secrets

from opsplane.database import Pool, sql
from opsplane.events.broker import Broker
from opsplane.telemetry import get_logger

log = get_logger("events")
MARK = "opsplane:incarnation"


async def incarnation(pool: Pool) -> str | None:
    """The incarnation the broker was last seen in."""
    row = await pool.fetch_one(sql(__package__, "get_incarnation"))
    return row["incarnation"] if row else None


async def look(pool: Pool, broker: Broker, *, lost: str | None = None) -> str:
    """The broker's incarnation now. When its mark is gone, or things of the incarnation `lost` are, it is a new one:
    the positions of the old one are kept for a rebuild, and open dead letters are put back on their streams.
    """
    mark = await broker.call("GET", MARK)
    known = await incarnation(pool)
    if mark is not None and mark.decode() == known != lost:
        return str(mark.decode())
    async with pool.transaction() as tx:
        await tx.execute(sql(__package__, "lock_incarnations"))
        if lost is not None and mark is not None and mark.decode() == lost:
            await broker.call("SET", MARK, secrets.token_hex(8))
        await broker.call("SET", MARK, secrets.token_hex(8), "NX")
        current: str = (await broker.call("GET", MARK)).decode()
        rows = await (await tx.execute(sql(__package__, "lose_incarnations"), [current])).fetchall()
        await tx.execute(sql(__package__, "insert_incarnation"), [current])
        await tx.execute(sql(__package__, "forget_positions"))
        await tx.execute(sql(__package__, "untidy_open"))
    if rows:
        log.error("events.broker_lost", incarnation=current, before=[row["incarnation"] for row in rows])
    return current

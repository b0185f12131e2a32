"""Taking the lead: the epoch of a group is raised, and no transaction of an earlier one is open any more."""

from __future__ import annotations

import asyncio

from opsplane.database import Pool, sql
from opsplane.events.backbone import ROOM
from opsplane.telemetry import get_logger

log = get_logger("events")
PATIENCE, AGAIN = 1.0, 0.05


async def take_epoch(pool: Pool, group: str, leader: str, known: int) -> int:
    """The new epoch, above `known`; ask only while holding the group's leadership.

    A transaction that still holds the old epoch is a former leader's; one that has not ended after a second has its
    session ended.
    """
    facts = {"group": group, "leader": leader, "known": known}
    async with pool.connection() as connection:
        taking = asyncio.ensure_future(connection.execute(sql(ROOM, "take_epoch"), facts))
        patience = PATIENCE
        try:
            while not (await asyncio.wait({taking}, timeout=patience))[0]:
                patience = AGAIN  # it waits for one after the other
                ended = await pool.fetch(sql(ROOM, "end_blockers"), [connection.info.backend_pid])
                if ended:
                    sessions = [row["pid"] for row in ended]
                    log.warning("events.former_leader_ended", group=group, sessions=sessions)
            row = await (await taking).fetchone()
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)
    assert row is not None
    epoch: int = row["epoch"]
    return epoch

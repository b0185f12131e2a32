"""Dead letters as operators see them: lists, one in full, groups by cause, counts, replays."""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg.rows import DictRow

from opsplane.database import Pool, sql
from opsplane.errors import NotFound
from opsplane.events.backbone import ROOM
from opsplane.events.deadletters.selection import Selection
from opsplane.events.personal import event_of
from opsplane.events.thresholds import threshold

OPEN = ("waiting", "replaying")
STATES = (*OPEN, "resolved", "discarded")


async def page(
    pool: Pool, selection: Selection, *, states: tuple[str, ...] = OPEN, limit: int = 50, offset: int = 0
) -> tuple[list[DictRow], int]:
    """The matching dead letters, the latest failure first, and how many match in all."""
    facts = {**selection.parameters(), "states": list(states), "limit": limit, "offset": offset}
    rows = await pool.fetch(sql(ROOM, "list_dead_letters"), facts)
    total = rows[0]["total"] if rows else 0
    for row in rows:
        del row["total"]
    return rows, total


async def show(pool: Pool, letter: int) -> dict[str, Any]:
    """Everything about one dead letter, its event decoded; raises `NotFound`."""
    row = await pool.fetch_one(sql(ROOM, "get_dead_letter"), [letter])
    if row is None:
        raise NotFound(f"There is no dead letter {letter}.", remedy="See: opsplane dlq ls --states all")
    hidden = ("data", "untidy", "obsolete", "sent_in")
    return {**{name: row[name] for name in row if name not in hidden}, "event": event_of(row["data"])}


async def groups(pool: Pool) -> list[DictRow]:
    """Open dead letters by fingerprint, the most frequent first, with the trend of the last two hours."""
    return await pool.fetch(sql(ROOM, "group_dead_letters"))


async def stats(pool: Pool) -> dict[str, dict[str, Any]]:
    """For each topic that ever had dead letters how many are open, and the threshold above which somebody should look."""
    rows = await pool.fetch(sql(ROOM, "count_dead_letters"))
    return {
        row["topic"]: {
            "count": row["count"],
            "replaying": row["replaying"],
            "oldest": row["oldest"],
            "threshold": threshold(row["topic"]),
            "exceeded": row["count"] > threshold(row["topic"]),
        }
        for row in rows
    }


class Replay(msgspec.Struct, frozen=True, rename="camel"):
    """A replay and how far it is; `withdrawn` events were cancelled or discarded before they had an outcome."""

    id: int
    state: str
    requested_by: str
    selection: dict[str, Any]
    rate: float | None
    total: int
    resolved: int
    failed: int
    withdrawn: int
    sent: int
    unsent: int


async def replays(pool: Pool, replay: int | None = None, limit: int = 50) -> list[Replay]:
    """Replays, the latest first."""
    rows = await pool.fetch(sql(ROOM, "list_replays"), {"replay": replay, "limit": limit})
    return [Replay(**{name: row[name] for name in Replay.__struct_fields__}) for row in rows]


async def replay(pool: Pool, number: int) -> Replay:
    """One replay; raises `NotFound`."""
    found = await replays(pool, number)
    if not found:
        raise NotFound(f"There is no replay {number}.")
    return found[0]

"""Dead letters as operators see them: lists, one in full, groups by cause, counts, replays."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec
from psycopg.rows import DictRow

from opsplane.database import Pool, sql
from opsplane.errors import NotFound
from opsplane.events.backbone import ROOM
from opsplane.events.deadletters.edits import difference
from opsplane.events.deadletters.selection import Selection
from opsplane.events.personal import Personal, View, event_of
from opsplane.events.thresholds import threshold

OPEN = ("waiting", "replaying")
STATES = (*OPEN, "resolved", "discarded")
_INTERNAL = ("data", "edited", "untidy", "obsolete", "sent_in")


async def page(
    pool: Pool,
    selection: Selection,
    *,
    states: tuple[str, ...] = OPEN,
    limit: int = 50,
    offset: int = 0,
    personal: Personal | None = None,
) -> tuple[list[DictRow], int]:
    """The matching dead letters, the latest failure first, and how many match in all; `personal` masks."""
    facts = {**selection.parameters(), "states": list(states), "limit": limit, "offset": offset}
    rows = await pool.fetch(sql(ROOM, "list_dead_letters"), facts)
    total = rows[0]["total"]
    found = [row for row in rows if row["id"] is not None]
    for row in found:
        view = _view(personal, row["data"], row["topic"])
        row["message"] = view.text(row["message"])
        row["subject"] = row["subject"] and view.text(row["subject"])
        del row["total"], row["data"]
    return found, total


async def show(pool: Pool, letter: int, personal: Personal | None = None) -> dict[str, Any]:
    """Everything about one dead letter, its event decoded, every edit with its difference; raises `NotFound`."""
    row = await pool.fetch_one(sql(ROOM, "get_dead_letter"), [letter])
    if row is None:
        raise NotFound(f"There is no dead letter {letter}.", remedy="See: opsplane dlq ls --states all")
    edits = await pool.fetch(sql(ROOM, "list_edits"), [letter])
    versions = [
        _view(personal, data, row["topic"]) for data in (row["data"], *(one["data"] for one in edits))
    ]
    whole = View(versions[0].event, frozenset[str]().union(*(view.values for view in versions)))
    shown = {name: row[name] for name in row if name not in _INTERNAL}
    shown = {name: whole.within(value) for name, value in shown.items()}
    return {
        **shown,
        "masked": whole.is_masked,
        "event": whole.event,
        "edits": [
            {
                "at": edit["at"], "by": edit["edited_by"], "because": edit["because"],
                "violations": whole.within(edit["violations"]), "changes": difference(before.event, after.event),
            }
            for edit, (before, after) in zip(edits, pairwise(versions), strict=True)
        ],
    }  # fmt: skip


async def groups(pool: Pool, selection: Selection | None = None) -> list[DictRow]:
    """Open dead letters by fingerprint, the most frequent first, with the trend of the last two hours."""
    chosen = (selection or Selection()).parameters()["chosen"]
    return await pool.fetch(sql(ROOM, "group_dead_letters"), [chosen])


async def stats(
    pool: Pool, selection: Selection | None = None, thresholds: Mapping[str, int] | None = None
) -> dict[str, dict[str, Any]]:
    """For each topic that ever had dead letters how many are open, and the threshold above which somebody should look."""
    chosen = (selection or Selection()).parameters()["chosen"]
    rows = await pool.fetch(sql(ROOM, "count_dead_letters"), [chosen])
    return {
        row["topic"]: {
            "count": row["count"],
            "replaying": row["replaying"],
            "oldest": row["oldest"],
            "threshold": threshold(row["topic"], thresholds),
            "exceeded": row["count"] > threshold(row["topic"], thresholds),
        }
        for row in rows
    }


def _view(personal: Personal | None, data: bytes, topic: str) -> View:
    return View(event_of(data)) if personal is None else personal.view(data, topic)


class Replay(msgspec.Struct, frozen=True, rename="camel"):
    """A replay and how far it is.

    `sent` have no outcome yet; `withdrawn` were cancelled or discarded before they had one; `foreign_letters` go to
    their topic, where all groups see them.
    """

    id: int
    state: str
    requested_by: str
    selection: dict[str, Any]
    rate: float | None
    total: int
    resolved: int
    failed: int
    withdrawn: int
    foreign_letters: int
    sent: int
    unsent: int
    created_at: datetime
    finished_at: datetime | None


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

"""What the service databases tell: written, published, done in the inbox, and the other events of the trace."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from psycopg.rows import DictRow

from opsplane.database import Pool, sql
from opsplane.events.backbone import ROOM
from opsplane.events.story.moments import Moment
from opsplane.events.story.witnesses import Hearing
from opsplane.events.streams import time_of

MOST_CAUSED = 500
Rows = list[tuple[str, DictRow]]


async def written(hearing: Hearing) -> Rows:
    """The event's rows in every outbox, each with its database."""
    return await _everywhere(hearing, sql(ROOM, "story_written"), [hearing.event_id])


async def done(hearing: Hearing, groups: Collection[str]) -> Rows:
    """The event's rows in every inbox."""
    return await _everywhere(hearing, sql(ROOM, "story_done"), [sorted(groups), hearing.event_id])


async def of_trace(hearing: Hearing, trace: str) -> Rows:
    """The other events of the trace, at most 500 of each database."""
    parameters = [trace, hearing.event_id, MOST_CAUSED]
    return await _everywhere(hearing, sql(ROOM, "story_trace"), parameters)


def written_moments(rows: Rows) -> list[Moment]:
    """When the event was written and when it was published."""
    moments = []
    for name, row in rows:
        place = f"database {name}"
        later = {"deliverAt": row["deliver_at"]} if row["deliver_at"] else {}
        moments.append(Moment(row["created_at"], "written", place, {"topic": row["topic"], **later}))
        if row["stream_id"]:
            facts = {"entry": row["stream_id"], "sequence": row["sequence"]}
            at = max(row["created_at"], time_of(row["stream_id"]))  # the row is marked a little later
            moments.append(Moment(at, "published", f"topic {row['topic']}", facts))
    return moments


def trace_moments(rows: Rows, since: Any) -> list[Moment]:
    """The other events of the trace: those written before this one, and those it caused."""
    return [
        Moment(
            row["created_at"],
            "caused" if since is None or row["created_at"] >= since else "came before",
            f"database {name}",
            {"topic": row["topic"], "event": row["event_id"], "subject": row["subject"]},
        )
        for name, row in rows
    ]


def done_moments(rows: Rows) -> list[Moment]:
    """When each group had the effect."""
    return [
        Moment(row["done_at"], "effect committed", f"group {row['consumer_group']}", {"epoch": row["epoch"]})
        for _, row in rows
    ]


async def _everywhere(hearing: Hearing, statement: Any, parameters: list[Any]) -> Rows:
    names = sorted(hearing.of.databases)
    found = await asyncio.gather(
        *(
            hearing.ask(f"database {name}", _rows(hearing.of.databases[name], statement, parameters), [])
            for name in names
        )
    )
    return [(name, row) for name, rows in zip(names, found, strict=True) for row in rows]


async def _rows(pool: Pool, statement: Any, parameters: list[Any]) -> list[DictRow]:
    here = await pool.fetch_one(sql(ROOM, "has_outbox"))
    return await pool.fetch(statement, parameters) if here and here["here"] else []

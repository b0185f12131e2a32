"""What the dead letters tell: every failed attempt, the replays, the outcome."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from psycopg.rows import DictRow

from opsplane.database import sql
from opsplane.events.backbone import ROOM
from opsplane.events.story.moments import Moment
from opsplane.events.story.witnesses import Hearing

_MARKS = {"resolved": "replayed with success", "discarded": "discarded"}


async def letters(hearing: Hearing) -> list[DictRow]:
    """The event's dead letters, open and settled."""
    pool = hearing.of.operations
    if pool is None:
        hearing.missing.append("dead letters: they are in the operations database, which is away")
        return []
    return await hearing.ask(
        "dead letters", pool.fetch(sql(ROOM, "story_dead_letters"), [hearing.event_id]), []
    )


async def edits(hearing: Hearing) -> list[Moment]:
    """When operators edited what a replay sends, and why."""
    pool = hearing.of.operations
    if pool is None:
        return []
    rows = await hearing.ask("dead letters", pool.fetch(sql(ROOM, "story_edits"), [hearing.event_id]), [])
    return [
        Moment(
            row["at"],
            "edited",
            _place(row),
            {"deadLetter": row["letter"], "by": row["edited_by"], "because": row["because"]},
        )
        for row in rows
    ]


def letter_moments(rows: list[DictRow]) -> list[Moment]:
    """Attempts, burial, replay and outcome of each."""
    moments = []
    for row in rows:
        place = _place(row)
        facts = {"deadLetter": row["id"]}
        moments += attempt_moments(row["attempts"], place, facts)
        told = {**facts, "reason": row["reason"], "message": row["message"]}
        moments.append(Moment(row["first_failed_at"], "became a dead letter", place, told))
        if row["last_failed_at"] != row["first_failed_at"]:
            failed = {**told, "failures": row["failures"]}
            moments.append(Moment(row["last_failed_at"], "failed again", place, failed))
        if row["replay_id"]:
            by = {**facts, "replay": row["replay_id"], "by": row["replayed_by"], "state": row["replay_state"]}
            moments.append(Moment(row["replayed_at"], "replay asked for", place, by))
        if row["settled_at"]:
            settled = {"by": row["settled_by"], "reason": row["settled_reason"]}
            known = {name: value for name, value in settled.items() if value is not None}
            moments.append(Moment(row["settled_at"], _MARKS[row["state"]], place, {**facts, **known}))
    return moments


def _place(row: DictRow) -> str:
    return f"group {row['consumer_group']}" if row["consumer_group"] else f"topic {row['topic']}"


def attempt_moments(attempts: Any, place: str, facts: dict[str, Any]) -> list[Moment]:
    """A moment for each failed attempt that says when it was."""
    found = []
    for number, attempt in enumerate(attempts if isinstance(attempts, list) else [], 1):
        if not isinstance(attempt, dict):
            continue
        try:
            at = datetime.fromisoformat(str(attempt.get("at")))
        except ValueError:
            continue  # written by an application with a form of its own
        if at.tzinfo is not None:
            told = {"attempt": number, "error": attempt.get("error"), "durationMs": attempt.get("durationMs")}
            found.append(Moment(at, "failed", place, {**facts, **told}))
    return found

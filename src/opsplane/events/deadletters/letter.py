"""One dead letter as it stands on a stream, and the map that is written beside it there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from opsplane.events.broker import Delivered
from opsplane.events.envelope import UNREADABLE
from opsplane.events.personal import event_of

SUFFIX = ".dlq"
FOREIGN = "foreign"


def record(entry: Delivered) -> dict[str, Any]:
    """The parameters of `record_dead_letter` for an entry of a dead letter stream, whoever wrote it."""
    beside = {name: _clean(text) for name, text in entry.metadata.items()}
    event = _event(entry.data)
    reason = beside.get("reason", FOREIGN)
    return {
        "stream": entry.stream,
        "stream_id": entry.id,
        "dead_letter": _number(beside.get("deadLetterId")),
        "restored": beside.get("restored") == "true",
        "alias": beside.get("deadLetters"),
        "topic": beside.get("sourceTopic", entry.stream.removesuffix(SUFFIX)),
        "group": beside.get("group"),
        "consumer": beside.get("consumer"),
        "source_id": beside.get("sourceId"),
        "event_id": event.get("id"),
        "event_type": event.get("type"),
        "event_source": event.get("source"),
        "subject": event.get("subject"),
        "data": entry.data,
        "reason": reason,
        "error": beside.get("error"),
        "message": beside.get("message", "Put here by an application that gave no reason."),
        "fingerprint": beside.get("fingerprint", reason),
        "violations": _list(beside.get("violations")) if "violations" in beside else None,
        "attempts": _list(beside.get("attempts")),
        "failed_at": _failed_at(beside.get("failedAt"), entry.id),
    }


def metadata_of(row: DictRow) -> dict[str, str]:
    """What is written beside the event of a recorded dead letter; it tells which row it belongs to."""
    known = {
        "deadLetterId": str(row["id"]),
        "restored": "true",
        "sourceTopic": row["topic"],
        "sourceId": row["source_id"],
        "group": row["consumer_group"],
        "consumer": row["consumer"],
        "deadLetters": row["alias"],
        "reason": row["reason"],
        "error": row["error"],
        "message": row["message"],
        "fingerprint": row["fingerprint"],
        "violations": None if row["violations"] is None else _text(row["violations"]),
        "attempts": _text(row["attempts"]),
        "failedAt": row["last_failed_at"].isoformat(),
    }
    return {name: value for name, value in known.items() if value is not None}


def _event(data: bytes) -> dict[str, str]:
    event = event_of(data)
    if not isinstance(event, dict):
        return {}
    return {name: _clean(value) for name, value in event.items() if isinstance(value, str)}


def _clean(text: str) -> str:
    """The text with what PostgreSQL cannot store replaced."""
    return text.replace("\x00", "\ufffd").encode(errors="replace").decode()


def _list(text: str | None) -> Jsonb:
    try:
        found = msgspec.json.decode((text or "[]").replace("\\u0000", "\\ufffd"))
    except UNREADABLE:
        found = [{"unreadable": text}]
    return Jsonb(found if isinstance(found, list) else [found])


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 19 else None


def _failed_at(text: str | None, entry_id: str) -> datetime:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()

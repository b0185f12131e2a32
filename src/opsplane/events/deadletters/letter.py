"""One dead letter as it stands on a stream, and the map that is written beside it there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from opsplane.events.broker import Delivered
from opsplane.events.chain.fingerprint import general
from opsplane.events.deadletters.words import words
from opsplane.events.envelope import UNREADABLE
from opsplane.events.personal import Personal, View, event_of

SUFFIX = ".dlq"
FOREIGN = "foreign"


def record(entry: Delivered, personal: Personal) -> dict[str, Any]:
    """The parameters of `record_dead_letter` for an entry of a dead letter stream, whoever wrote it.

    What is told about the event, and the words it is found by, have no personal data.
    """
    beside = {name: _clean(text) for name, text in entry.metadata.items()}
    event = _event(entry.data)
    reason = beside.get("reason", FOREIGN)
    topic = beside.get("sourceTopic", entry.stream.removesuffix(SUFFIX))
    view = personal.view(entry.data, topic)
    message = view.text(beside.get("message", "Put here by an application that gave no reason."))
    violations = _list(beside["violations"]) if "violations" in beside else None
    found = {**event, "error": beside.get("error"), "message": message, "violations": violations}
    return {
        "stream": entry.stream,
        "stream_id": entry.id,
        "dead_letter": _number(beside.get("deadLetterId")),
        "restored": beside.get("restored") == "true",
        "alias": beside.get("deadLetters"),
        "topic": topic,
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
        "message": message,
        "fingerprint": beside.get("fingerprint", reason),
        "violations": None if violations is None else Jsonb(view.within(violations)),
        "attempts": Jsonb(view.within(_list(beside.get("attempts")))),
        "failed_at": _failed_at(beside.get("failedAt"), entry.id),
        **found_by(found, view),
    }


def found_by(facts: Mapping[str, Any], view: View) -> dict[str, list[str]]:
    """The words and the places of violations a dead letter is found by."""
    told = [
        view.text(facts[name]) for name in ("message", "error", "subject", "id", "type") if facts.get(name)
    ]
    shown = view.event if isinstance(view.event, str) else msgspec.json.encode(view.event).decode()
    return {"words": words(*told, _clean(shown)), "pointers": _places(facts.get("violations") or [])}


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


def _places(violations: Sequence[Any]) -> list[str]:
    pointers = (one.get("pointer") for one in violations if isinstance(one, dict))
    return sorted({general(pointer) for pointer in pointers if isinstance(pointer, str)})


def _list(text: str | None) -> list[Any]:
    try:
        found = msgspec.json.decode((text or "[]").replace("\\u0000", "\\ufffd"))
    except UNREADABLE:
        found = [{"unreadable": text}]
    return found if isinstance(found, list) else [found]


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

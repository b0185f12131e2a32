"""Export and import: dead letters as lines of JSON, their bytes exactly as they are, each the same one everywhere."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncIterable, AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from opsplane.database import Connection, Pool, sql
from opsplane.errors import InvalidInput
from opsplane.events.backbone import ROOM
from opsplane.events.deadletters.letter import SUFFIX, found_by
from opsplane.events.deadletters.selection import Selection
from opsplane.events.personal import Personal, View, event_of

BATCH = 500
MOST_NAMED = 100


class EditLine(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """One edit of an exported dead letter."""

    at: datetime
    by: str
    because: str
    data: str | None = None
    data_base64: str | None = None
    violations: list[Any] = []


class Line(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True):
    """One exported dead letter: the event's bytes as text where they are text (`data`), else in base64.

    A `masked` one has personal data that was not exported, and cannot be imported.
    """

    uid: str
    topic: str
    state: str
    reason: str
    message: str
    fingerprint: str
    first_failed_at: datetime
    last_failed_at: datetime
    group: str | None = None
    consumer: str | None = None
    dead_letters: str | None = None
    source_id: str | None = None
    error: str | None = None
    violations: list[Any] | None = None
    attempts: list[Any] = []
    failures: int = 1
    data: str | None = None
    data_base64: str | None = None
    edits: list[EditLine] = []
    masked: bool = False
    event: Any = None


class Imported(msgspec.Struct, frozen=True):
    """What an import did: `known` were here already, `settled` were resolved or discarded where they come from."""

    imported: int
    known: int
    settled: int


async def export(
    pool: Pool, selection: Selection, *, states: tuple[str, ...], personal: Personal | None = None
) -> AsyncIterator[bytes]:
    """The matching dead letters, a line each; `personal` masks, and leaves out the bytes where it did."""
    after = 0
    while True:
        facts = {**selection.parameters(), "states": list(states), "after": after, "limit": BATCH}
        rows = await pool.fetch(sql(ROOM, "export_dead_letters"), facts)
        for row in rows:
            yield msgspec.json.encode(_line(row, personal)) + b"\n"
        if len(rows) < BATCH:
            return
        after = rows[-1]["id"]


async def load(tx: Connection, lines: AsyncIterable[bytes], personal: Personal) -> Imported:
    """Write exported dead letters in `tx`. Raises `InvalidInput` naming every bad line; roll back then."""
    bad: list[dict[str, Any]] = []
    batch: list[dict[str, Any]] = []
    counts = {"lines": 0, "settled": 0, "imported": 0}
    number = 0
    async for text in lines:
        number += 1
        if not text.strip():
            continue
        try:
            line = _read(text)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            bad.append({"line": number, "message": f"line {number}: {error}"})
            continue
        counts["lines"] += 1
        if line.state not in ("waiting", "replaying"):
            counts["settled"] += 1
            continue
        batch.append(_row(line, personal))
        if len(batch) >= BATCH and not bad:
            counts["imported"] += await _write(tx, batch)
            batch = []
    if bad:
        raise InvalidInput(
            f"{len(bad)} of {number} lines cannot be imported; nothing was.",
            violations=bad[:MOST_NAMED],
            remedy="Correct these lines, or leave them out.",
        )
    counts["imported"] += await _write(tx, batch)
    known = counts["lines"] - counts["settled"] - counts["imported"]
    return Imported(counts["imported"], known, counts["settled"])


async def _write(tx: Connection, rows: list[dict[str, Any]]) -> int:
    if not rows:
        return 0
    async with tx.cursor() as cursor:
        await cursor.executemany(sql(ROOM, "import_dead_letter"), rows)
        return cursor.rowcount


def _line(row: DictRow, personal: Personal | None) -> Line:
    versions = [row["data"], *(b64decode(edit["data"]) for edit in row["edits"])]
    views = [View(None) if personal is None else personal.view(data, row["topic"]) for data in versions]
    view = View(views[0].event, frozenset[str]().union(*(one.values for one in views)))
    event: dict[str, Any] = {"masked": True, "event": view.event} if view.is_masked else _bytes(row["data"])
    edits = [
        EditLine(edit["at"], edit["by"], edit["because"], violations=edit["violations"], **_bytes(data))
        for edit, data in zip(row["edits"], versions[1:], strict=True)
    ]
    return Line(
        uid=str(row["uid"]), topic=row["topic"], state=row["state"], reason=row["reason"],
        message=view.text(row["message"]), fingerprint=row["fingerprint"],
        first_failed_at=row["first_failed_at"], last_failed_at=row["last_failed_at"],
        group=row["consumer_group"], consumer=row["consumer"], dead_letters=row["alias"],
        source_id=row["source_id"], error=row["error"], violations=view.within(row["violations"]),
        attempts=view.within(row["attempts"]), failures=row["failures"],
        edits=[] if view.is_masked else edits, **event,
    )  # fmt: skip


def _read(text: bytes) -> Line:
    line = _decoder.decode(text)
    if line.masked:
        raise ValueError("its personal data was masked in the export; export it unmasked.")
    _data(line)
    for edit in line.edits:
        _data(edit)
    for name in ("topic", "uid"):
        if not getattr(line, name):
            raise ValueError(f"`{name}` is empty.")
    _uid(line.uid)
    return line


def _row(line: Line, personal: Personal) -> dict[str, Any]:
    data = _data(line)
    view = personal.view(data, line.topic)
    event = event_of(data)
    facts = event if isinstance(event, dict) else {}
    known = {name: value for name, value in facts.items() if isinstance(value, str)}
    message = view.text(line.message)
    found = {**known, "error": line.error, "message": message, "violations": line.violations}
    edits = [
        {"data": b64encode(_data(one)).decode(), "at": one.at.isoformat(), "by": one.by, "because": one.because,
         "violations": one.violations}
        for one in line.edits
    ]  # fmt: skip
    return {
        "uid": line.uid, "stream": line.topic + SUFFIX, "stream_id": f"import:{line.uid}", "topic": line.topic,
        "alias": line.dead_letters, "group": line.group, "consumer": line.consumer, "source_id": line.source_id,
        "event_id": known.get("id"), "event_type": known.get("type"), "event_source": known.get("source"),
        "subject": known.get("subject"), "data": data, "reason": line.reason, "error": line.error,
        "message": message, "fingerprint": line.fingerprint,
        "violations": None if line.violations is None else Jsonb(view.within(line.violations)),
        "attempts": Jsonb(view.within(line.attempts)), "failures": line.failures,
        "first": line.first_failed_at, "last": line.last_failed_at,
        "edits": Jsonb(edits), "edited": _data(line.edits[-1]) if line.edits else None,
        **found_by(found, view),
    }  # fmt: skip


def _bytes(data: bytes) -> dict[str, str]:
    try:
        return {"data": data.decode()}
    except UnicodeDecodeError:
        return {"data_base64": b64encode(data).decode()}


def _data(line: Line | EditLine) -> bytes:
    if line.data is not None:
        return line.data.encode()
    if line.data_base64 is None:
        raise ValueError("it has neither `data` nor `dataBase64`.")
    return b64decode(line.data_base64, validate=True)


def _uid(text: str) -> None:
    try:
        msgspec.convert(text, UUID)
    except msgspec.ValidationError:
        raise ValueError(f"{text[:60]!r} is no `uid`.") from None


_decoder = msgspec.json.Decoder(Line)

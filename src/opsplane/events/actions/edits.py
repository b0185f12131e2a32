"""Editing the event of a dead letter: the original stays, a replay sends the edited one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from opsplane.action import Action, Preview
from opsplane.database import sql
from opsplane.errors import Conflict, InvalidInput, NotFound
from opsplane.events import deadletters
from opsplane.events.backbone import ROLE, ROOM, Backbone
from opsplane.events.deadletters import edits
from opsplane.events.envelope import Undecodable, decode
from opsplane.events.personal import MASK, event_of
from opsplane.events.schemas import Violation, rejected

KEPT = ("id", "source", "type")


class EditLetter(msgspec.Struct, frozen=True, kw_only=True):
    """Change the event of a waiting dead letter: its payload, places in it (JSON pointers), or the whole event.

    `force` keeps an event that violates its schema.
    """

    letter: int
    because: str
    data: Any | UnsetType = UNSET
    event: Any | UnsetType = UNSET
    put: dict[str, Any] = {}
    cut: tuple[str, ...] = ()
    force: bool = False

    def audited(self) -> dict[str, Any]:
        """What goes to the audit log: where was edited, not what stands there now."""
        whole = [name for name in ("data", "event") if getattr(self, name) is not UNSET]
        return {"letter": self.letter, "places": [*whole, *self.put, *self.cut], "force": self.force}


class Edit(msgspec.Struct, frozen=True):
    """An edit as it would be, or was, made."""

    event: Any
    changes: list[dict[str, Any]]
    violations: list[dict[str, Any]]


async def _preview(backbone: Backbone, wanted: EditLetter) -> Preview:
    row = await backbone.pool.fetch_one(sql(ROOM, "get_dead_letter"), [wanted.letter])
    _, found = _made(backbone, wanted, row)
    told = f"Would change: {len(found.changes)} places."
    if found.violations:
        told += f" The event would have {len(found.violations)} violations of its schema."
    return Preview(told, len(found.changes), found.changes)


async def _edit(backbone: Backbone, wanted: EditLetter) -> dict[str, Any]:
    if not wanted.because.strip():
        raise InvalidInput("An edit needs a reason.", remedy='Give one: --reason "…"')
    async with backbone.pool.transaction() as tx:
        row = await (await tx.execute(sql(ROOM, "lock_dead_letter"), [wanted.letter])).fetchone()
        data, found = _made(backbone, wanted, row)
        if found.violations and not wanted.force:
            error = rejected(
                _kind(found.event), [msgspec.convert(one, Violation) for one in found.violations]
            )
            error.remedy = "Correct the edit, or keep it all the same with --force (API: force)."
            raise error
        facts = {
            "letter": wanted.letter, "data": data, "by": backbone.actor, "because": wanted.because,
            "violations": Jsonb(found.violations), **_identity(event_of(data)),
        }  # fmt: skip
        await tx.execute(sql(ROOM, "insert_edit"), facts)
    return await deadletters.show(backbone.pool, wanted.letter, backbone.personal)


def _made(backbone: Backbone, wanted: EditLetter, row: DictRow | None) -> tuple[bytes, Edit]:
    """The edited bytes, and the edit as everyone may see it; raises when it cannot be made."""
    if row is None:
        raise NotFound(f"There is no dead letter {wanted.letter}.", remedy="See: opsplane dlq ls")
    if row["state"] != "waiting":
        raise Conflict(
            f"The dead letter {wanted.letter} is {row['state']}; only a waiting one can be edited.",
            remedy="Cancel its replay first: opsplane dlq cancel" if row["state"] == "replaying" else None,
        )
    before = row["edited"] or row["data"]
    changed = _changed(wanted, before)
    _require_identity(event_of(row["data"]), changed)
    data = edits.encoded(changed)
    if MASK.encode() in data and MASK.encode() not in before:
        raise InvalidInput(
            f"The edit contains {MASK}, which stands for personal data that was not shown.",
            remedy="Name only the places to change, with --set (API: put).",
        )
    changes = edits.difference(event_of(before), event_of(data))
    if not changes:
        raise InvalidInput("The edit changes nothing.")
    personal = backbone.personal
    seen, told = personal.view(before, row["topic"]), personal.view(data, row["topic"])
    violations = [msgspec.to_builtins(one) for one in _violations(backbone, changed, data)]
    shown = edits.difference(seen.event, told.event) or [{"place": one["place"]} for one in changes]
    return data, Edit(told.event, shown, told.within(violations))


def _violations(backbone: Backbone, changed: Any, data: bytes) -> list[Violation]:
    """What the chain will say about the edited event."""
    try:
        return backbone.schemas.faults(decode(data), data)
    except Undecodable:
        return backbone.schemas.violations(_kind(changed), changed.get("data"))


def _changed(wanted: EditLetter, before: bytes) -> Any:
    if wanted.event is not UNSET:
        return edits.edited(wanted.event, put=wanted.put, cut=wanted.cut)
    try:
        event = json.loads(before)
    except ValueError:
        event = None
    if not isinstance(event, dict) or "specversion" not in event:
        raise Conflict(
            f"What dead letter {wanted.letter} holds is no CloudEvents envelope, so its data cannot be edited.",
            remedy="Give the whole event: --event @FILE (API: event).",
        )
    if wanted.data is UNSET:
        return edits.edited(event, put=wanted.put, cut=wanted.cut)
    return edits.edited(event, data=wanted.data, put=wanted.put, cut=wanted.cut)


def _require_identity(original: Any, changed: Any) -> None:
    """An edited event is the same event: its group's inbox knows it by source and id."""
    if not isinstance(changed, dict) or any(not isinstance(changed.get(name), str) for name in KEPT):
        raise InvalidInput(
            "The edited event is no CloudEvents envelope.", remedy="It needs id, source and type."
        )
    if isinstance(original, dict):
        moved = [name for name in KEPT if name in original and original[name] != changed[name]]
        if moved:
            raise InvalidInput(
                f"An edit cannot change {', '.join(moved)} of an event: it would be another event.",
                remedy="Publish a new event instead: opsplane event publish",
            )


def _kind(event: Any) -> str:
    return str(event["type"])


def _identity(event: Mapping[str, Any]) -> dict[str, Any]:
    names = {"event_id": "id", "event_type": "type", "event_source": "source", "subject": "subject"}
    return {column: event.get(name) for column, name in names.items()}


EDIT = Action("dlq.edit", ROLE, "Change the event of a dead letter.", EditLetter, _preview, _edit)

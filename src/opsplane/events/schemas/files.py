"""The services' own files brought into the registry, which then is what counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import msgspec
from psycopg.rows import DictRow

from opsplane.database import Pool, sql
from opsplane.events.backbone import ROOM
from opsplane.events.schemas import registry, store
from opsplane.events.schemas.assessment import assess
from opsplane.events.schemas.document import Schema, State
from opsplane.events.schemas.violations import escaped
from opsplane.events.topology import Topology
from opsplane.telemetry import get_logger

log = get_logger("events")
BY = "files"
MOST = 20


class Drift(msgspec.Struct, frozen=True):
    """A file that is not what the registry holds: `changed` after it was registered, `missing` there, or a `draft`.

    `differences` are the places (JSON pointers) at which file and registry differ.
    """

    subject: str
    version: int
    kind: str
    differences: list[str]


async def register_files(
    pool: Pool,
    declared: Iterable[Schema],
    topology: Topology = registry.NOBODY,
) -> list[Drift]:
    """Register every version of the files that is not there yet, and return what could not be taken as it is.

    A changed document under a registered version is refused. A version that breaks somebody, or is older than the
    active one, is registered as a draft, for an operator to decide about: the platform starts all the same.
    """
    drifts: list[Drift] = []
    async with pool.transaction() as tx:
        await tx.execute(sql(ROOM, "lock_schemas"))
        for subject, schemas in _by_subject(declared).items():
            found = await store.versions(tx, subject)
            for one in schemas:
                drift = _changed(one, found)
                if drift is not None:
                    drifts.append(drift)
                    log.error(
                        "events.schema_drift", subject=subject, version=one.version, at=drift.differences
                    )
                elif all(known.version != one.version for known in found):
                    await registry.insert(tx, one, BY, _state(one, found, topology))
                    found = await store.versions(tx, subject)
    return drifts


async def drifts(pool: Pool, declared: Iterable[Schema]) -> list[Drift]:
    """Where the files are not what the registry holds, by subject and version."""
    known = await store.registered(pool)
    return [drift for one in declared if (drift := _drift(one, known.get((one.type, one.version))))]


def differences(old: Any, new: Any, pointer: str = "") -> list[str]:
    """The places at which two JSON values differ, the outermost of each."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = dict.fromkeys(chain(old, new))
        return [
            place
            for name in names
            for place in (
                differences(old[name], new[name], f"{pointer}/{escaped(name)}")
                if name in old and name in new
                else [f"{pointer}/{escaped(name)}"]
            )
        ]
    return [] if type(old) is type(new) and old == new else [pointer or "/"]


def _changed(one: Schema, found: list[store.Version]) -> Drift | None:
    for known in found:
        if known.version == one.version and known.compiled().digest != one.digest:
            return Drift(
                one.type, one.version, "changed", _places(msgspec.structs.asdict(known), known.schema, one)
            )
    return None


def _drift(one: Schema, row: DictRow | None) -> Drift | None:
    if row is None:
        return Drift(one.type, one.version, "missing", [])
    if row["digest"] != one.digest:
        return Drift(one.type, one.version, "changed", _places(row, row["document"], one))
    return Drift(one.type, one.version, "draft", []) if row["state"] == "draft" else None


def _places(known: Mapping[str, Any], document: Any, one: Schema) -> list[str]:
    beside = [name for name in ("scope", "formats") if known[name] != getattr(one, name)]
    return [*beside, *differences(document, one.document)][:MOST]


def _state(one: Schema, found: list[store.Version], topology: Topology) -> State:
    assessed = assess(found, one, topology)
    for warning in assessed.warnings:
        log.warning("events.schema_example_fails", subject=one.type, version=one.version, example=warning)
    newest = max((known.version for known in found if known.state == "active"), default=0)
    if assessed.compatible and one.version > newest:
        log.info("events.schema_registered", subject=one.type, version=one.version)
        return "active"
    why = assessed.summary if not assessed.compatible else f"Version {newest} is active already."
    changes = [msgspec.to_builtins(change) for change in assessed.changes]
    log.warning(
        "events.schema_waits", subject=one.type, version=one.version, why=why, changes=changes,
        consumers=assessed.consumers,
    )  # fmt: skip
    return "draft"


def _by_subject(declared: Iterable[Schema]) -> dict[str, list[Schema]]:
    found: dict[str, list[Schema]] = defaultdict(list)
    for one in sorted(declared, key=lambda one: (one.type, one.version)):
        found[one.type].append(one)
    return found

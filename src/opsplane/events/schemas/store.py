"""The registry's rows: subjects and their versions, as operators see them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from psycopg.rows import DictRow

from opsplane.database import Connection, Pool, sql
from opsplane.errors import NotFound
from opsplane.events.backbone import ROOM
from opsplane.events.schemas.compatibility import Mode
from opsplane.events.schemas.document import InvalidSchema, Schema, schema
from opsplane.telemetry import get_logger

log = get_logger("events")
LATEST = "latest"


class Version(msgspec.Struct, frozen=True, rename="camel"):
    """A registered version with who brought it where it is."""

    subject: str
    version: int
    state: str
    scope: str
    formats: str
    mode: str
    registered_by: str
    registered_at: datetime
    promoted_by: str | None
    promoted_at: datetime | None
    deprecated_by: str | None
    deprecated_at: datetime | None
    schema: dict[str, Any]

    def compiled(self) -> Schema:
        """The schema of the version, ready to judge."""
        return _compiled(msgspec.structs.asdict(self) | {"document": self.schema})


async def subjects(pool: Pool) -> list[DictRow]:
    """Every subject: mode, newest active version, newest version, how many drafts and versions."""
    return await pool.fetch(sql(ROOM, "list_schema_subjects"))


async def versions(source: Pool | Connection, subject: str) -> list[Version]:
    """Every version of a subject, the oldest first; empty for one that is not known."""
    statement = sql(ROOM, "list_schema_versions")
    if isinstance(source, Pool):
        rows = await source.fetch(statement, [subject])
    else:
        rows = await (await source.execute(statement, [subject])).fetchall()
    return [_version(row) for row in rows]


async def some_versions(pool: Pool, subject: str) -> list[Version]:
    """Every version of a subject; raises `NotFound` when there is no such subject."""
    return some(subject, await versions(pool, subject))


def some(subject: str, found: list[Version]) -> list[Version]:
    """The subject's versions when there are any; raises `NotFound`."""
    if not found:
        raise NotFound(f"There is no subject {subject}.", remedy="See: opsplane schema ls")
    return found


async def version(pool: Pool, subject: str, wanted: int | str = LATEST) -> Version:
    """One version; `latest` is the newest active one, or the newest when none is active. Raises `NotFound`."""
    return pick(await some_versions(pool, subject), wanted)


def pick(found: list[Version], wanted: int | str) -> Version:
    """The wanted one of a subject's versions; raises `NotFound`."""
    if wanted == LATEST:
        return max(found, key=lambda one: (one.state == "active", one.version))
    for one in found:
        if str(one.version) == str(wanted):
            return one
    raise NotFound(
        f"{found[0].subject} has no version {wanted}; there is {', '.join(str(one.version) for one in found)}.",
        remedy=f"See: opsplane schema show {found[0].subject}",
    )


async def usable(pool: Pool) -> list[Schema]:
    """The active and deprecated versions, compiled."""
    return compiled(await pool.fetch(sql(ROOM, "list_usable_schemas")))


async def registered(pool: Pool) -> dict[tuple[str, int], DictRow]:
    """Every registered version by subject and number, not compiled."""
    rows = await pool.fetch(sql(ROOM, "list_all_schemas"))
    return {(row["subject"], row["version"]): row for row in rows}


def compiled(rows: Iterable[DictRow | dict[str, Any]]) -> list[Schema]:
    """The schemas in rows; one that cannot be compiled here is left out, and said so in the log."""
    found = []
    for row in rows:
        try:
            found.append(_compiled(row))
        except InvalidSchema as error:
            place = {"subject": row["subject"], "version": row["version"]}
            log.error("events.schema_unusable", **place, error=error.message)  # noqa: TRY400  its text says all
    return found


def mode_of(found: list[Version]) -> Mode:
    """The compatibility mode of a subject with these versions."""
    return Mode(found[0].mode) if found else Mode.BACKWARD


def _compiled(row: DictRow | dict[str, Any]) -> Schema:
    return schema(
        row["subject"], row["version"], row["document"],
        state=row["state"], scope=row["scope"], formats=row["formats"],
    )  # fmt: skip


def _version(row: DictRow) -> Version:
    plain = {name: row[name] for name in Version.__struct_fields__ if name != "schema"}
    return Version(**plain, schema=row["document"])

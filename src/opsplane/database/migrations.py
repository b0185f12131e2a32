"""Schema changes: plain SQL files, forward only, each applied once and never edited after."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources

from opsplane.database.pool import Connection, Pool
from opsplane.database.statements import sql
from opsplane.errors import OpsplaneError
from opsplane.telemetry import get_logger

log = get_logger("database")
_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_LOCK = 0x6F70736D  # "opsm": one migrator per database


class MigrationChanged(OpsplaneError):
    """A migration that was already applied has other contents now."""


class MigrationMissing(OpsplaneError):
    """The database has migrations this version does not know: it was written by a newer one."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step of a source."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


async def migrate(pool: Pool, source: str, package: str) -> list[str]:
    """The names of the migrations of `package` that were applied now, in order.

    `source` names the owner of the sequence (`order`, `events`, …): one database carries several. Each
    file runs in a transaction of its own under a lock, so processes may start side by side.
    Raises `MigrationChanged` and `MigrationMissing`; nothing is applied then.
    """
    wanted = read_migrations(package)
    async with pool.connection() as connection:
        await connection.execute("select pg_advisory_lock(%s)", [_LOCK])
        try:
            await connection.execute(sql(__package__, "create_migration_table"))
            applied = await _applied(connection, source)
            _verify(source, wanted, applied)
            fresh = [migration for migration in wanted if migration.number not in applied]
            for migration in fresh:
                await _apply(connection, source, migration)
        finally:
            await connection.execute("select pg_advisory_unlock(%s)", [_LOCK])
    return [migration.name for migration in fresh]


def read_migrations(package: str) -> list[Migration]:
    """The migrations in a package directory, `NNNN_name.sql`, in order."""
    found = []
    for entry in resources.files(package).iterdir():
        match = _NAME.fullmatch(entry.name)
        if match:
            found.append(Migration(int(match[1]), match[2], entry.read_text(encoding="utf-8")))
    return sorted(found, key=lambda migration: migration.number)


async def _applied(connection: Connection, source: str) -> dict[int, str]:
    rows = await connection.execute(sql(__package__, "list_migrations"), [source])
    return {row["number"]: row["checksum"] for row in await rows.fetchall()}


def _verify(source: str, wanted: list[Migration], applied: dict[int, str]) -> None:
    known = {migration.number: migration for migration in wanted}
    for number, checksum in applied.items():
        if number not in known:
            raise MigrationMissing(
                f"The database has migration {source}/{number:04d}, which this version does not know.",
                remedy="Upgrade opsplane, or restore the database from a backup.",
            )
        if known[number].checksum != checksum:
            raise MigrationChanged(
                f"Migration {source}/{number:04d}_{known[number].name} was changed after it was applied.",
                remedy="Put its old text back and add a new migration.",
            )


async def _apply(connection: Connection, source: str, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(migration.text)
        await connection.execute(
            sql(__package__, "insert_migration"),
            [source, migration.number, migration.name, migration.checksum],
        )
    log.info("database.migrated", source=source, migration=f"{migration.number:04d}_{migration.name}")

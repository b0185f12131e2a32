"""PostgreSQL: connections are left, nothing keeps the past alive, tables are as this version wants them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from opsplane.database import Pool, sql
from opsplane.database.migrations import read_migrations
from opsplane.ops.check import Finding, Part, Scene

ROOM = "opsplane.ops"
SNAPSHOT_SECONDS = 3600.0
CONNECTIONS_SHARE = 0.8


class Snapshots:
    """No session holds a snapshot for so long that dead rows pile up behind it."""

    name, daily = "snapshots", False
    needs: tuple[Part, ...] = ("postgres",)

    def __init__(self, seconds: float = SNAPSHOT_SECONDS) -> None:
        self._seconds = seconds

    async def look(self, scene: Scene) -> list[Finding]:
        """A finding for each transaction open for more than an hour, in any database and of any user."""
        rows = await scene.administrator.fetch(sql(ROOM, "old_snapshots"), {"seconds": self._seconds})
        return [self._judge(scene, row) for row in rows]

    def _judge(self, scene: Scene, row: dict[str, Any]) -> Finding:
        minutes = row["seconds"] / 60
        return Finding(
            check=self.name,
            severity="warning",
            summary=f"A transaction of {row['application'] or 'an unnamed client'} is open for {minutes:.0f} minutes: "
            "no dead row can be removed meanwhile.",
            evidence={name: row[name] for name in ("pid", "database", "user", "application", "state")},
            repair=self._repair(scene, row),
            runbook="docs/runbooks/old-snapshot.md",
            since=row["since"],
        )

    def _repair(self, scene: Scene, row: dict[str, Any]) -> str:
        role = (row["application"] or "").removeprefix("opsplane ")
        if any(one.name == role for one in scene.roles):
            return scene.start(role)
        backend = Path(f"/proc/{row['pid']}/cmdline")
        if backend.exists() and b"postgres" in backend.read_bytes():
            return f"kill -TERM {row['pid']}"  # PostgreSQL ends that session and rolls it back
        return scene.command("logs postgres")


class Connections:
    """Connections are left for those who need one."""

    name, daily = "connections", False
    needs: tuple[Part, ...] = ("postgres",)

    def __init__(self, share: float = CONNECTIONS_SHARE) -> None:
        self._share = share

    async def look(self, scene: Scene) -> list[Finding]:
        """A finding when four fifths of those the server allows are taken; it names who has most of them."""
        rows = await scene.administrator.fetch(sql(ROOM, "count_connections"))
        taken, most = sum(row["connections"] for row in rows), rows[0]["most"] if rows else 0
        if taken <= self._share * most:
            return []
        role = (rows[0]["application"] or "").removeprefix("opsplane ")
        ours = any(one.name == role for one in scene.roles)
        return [
            Finding(
                check=self.name,
                severity="critical" if taken > 0.95 * most else "warning",
                summary=f"{taken} of {most} connections to PostgreSQL are taken.",
                evidence={
                    "taken": taken,
                    "most": most,
                    "by": {row["application"]: row["connections"] for row in rows[:5]},
                },
                repair=scene.start(role) if ours else scene.command("logs postgres"),
                runbook="docs/runbooks/connections.md",
                first=None if ours else "Close the clients that have most of them; they are named here.",
            )
        ]


class Migrations:
    """Every database has the tables of this version: no migration is missing, none is changed, none is newer."""

    name, daily = "migrations", False
    needs: tuple[Part, ...] = ("postgres",)

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each source of a database that differs."""
        return [
            finding
            for database, sources in scene.migrations.items()
            if database in scene.pools
            for source, package in sources.items()
            for finding in await self._compare(scene, database, source, package)
        ]

    async def _compare(self, scene: Scene, database: str, source: str, package: str) -> list[Finding]:
        applied = await _applied(scene.pools[database], source)
        wanted = {one.number: one.checksum for one in read_migrations(package)}
        missing = sorted(set(wanted) - set(applied))
        newer = sorted(set(applied) - set(wanted))
        changed = sorted(
            number for number in applied if wanted.get(number, applied[number]) != applied[number]
        )
        if not (missing or newer or changed):
            return []
        runs = missing and not newer and not changed
        role = database if any(one.name == database for one in scene.roles) else "operations"
        why = "misses tables of this version" if runs else "was not written by this version"
        return [
            Finding(
                check=self.name,
                severity="critical",
                summary=f"The database {database} {why} ({source}).",
                evidence={
                    "database": database, "source": source,
                    "missing": missing, "newer": newer, "changed": changed,
                },
                repair=scene.start(role) if runs else scene.command("logs " + role),
                runbook="docs/runbooks/migrations.md",
                first=None if runs else "Install the version of opsplane that wrote it, or restore a backup.",
            )
        ]  # fmt: skip


async def _applied(pool: Pool, source: str) -> dict[int, str]:
    there = await pool.fetch_one(sql(ROOM, "has_migrations"))
    rows = (
        await pool.fetch(sql("opsplane.database", "list_migrations"), [source])
        if there and there["here"]
        else []
    )
    return {row["number"]: row["checksum"] for row in rows}

"""The platform itself: engines and roles, disk, partitions, snapshots that keep dead rows alive."""

from __future__ import annotations

import asyncio
import shutil

from opsplane.database import sql
from opsplane.ops.check import Finding, Scene

ROOM = "opsplane.ops"
FREE_SHARE, FREE_BYTES = 0.05, 1 << 30
SNAPSHOT_SECONDS = 3600.0


class Roles:
    """Every engine and role is healthy."""

    name = "roles"

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each that is not."""
        return [
            Finding(
                check=self.name,
                severity="critical",
                summary=f"The {role.kind} {role.name} is {role.health}.",
                evidence={"name": role.name, "health": role.health},
                repair=scene.command(f"up --detach --only {role.name}"),
                runbook="docs/runbooks/role-down.md",
            )
            for role in scene.roles
            if role.health != "healthy"
        ]


class Disk:
    """There is room where the installation's data is."""

    name = "disk"

    async def look(self, scene: Scene) -> list[Finding]:
        """A finding below 1 GiB or 5 % of free space, whichever is less."""
        usage = await asyncio.to_thread(shutil.disk_usage, scene.state)
        if usage.free > min(FREE_BYTES, usage.total * FREE_SHARE):
            return []
        return [
            Finding(
                check=self.name,
                severity="critical",
                summary=f"Only {usage.free >> 20} MiB are free below {scene.state}.",
                evidence={"freeBytes": usage.free, "totalBytes": usage.total},
                repair=scene.command("doctor"),
                runbook="docs/runbooks/disk-full.md",
            )
        ]


class Snapshots:
    """No session holds a snapshot for so long that dead rows pile up behind it."""

    name = "snapshots"

    async def look(self, scene: Scene) -> list[Finding]:
        """A finding for each transaction open for more than an hour."""
        rows = await scene.operations.fetch(sql(ROOM, "old_snapshots"), {"seconds": SNAPSHOT_SECONDS})
        return [
            Finding(
                check=self.name,
                severity="warning",
                summary=f"A transaction of {row['application']} is open for {row['seconds'] / 60:.0f} minutes: "
                "no dead row can be removed meanwhile.",
                evidence={
                    "pid": row["pid"],
                    "database": row["database"],
                    "state": row["state"],
                    "minutes": row["seconds"] / 60,
                },
                repair=scene.command("logs postgres"),
                runbook="docs/runbooks/old-snapshot.md",
            )
            for row in rows
        ]


class Partitions:
    """Tomorrow's partitions of the task history are there."""

    name = "partitions"

    async def look(self, scene: Scene) -> list[Finding]:
        """A finding when they are not: nothing could be finished after midnight UTC."""
        rows = await scene.operations.fetch(sql(ROOM, "missing_partitions"))
        if not rows:
            return []
        return [
            Finding(
                check=self.name,
                severity="critical",
                summary="Tomorrow's partitions are missing; after midnight UTC no task could be finished.",
                evidence={"missing": [row["name"] for row in rows]},
                repair=scene.command("up --detach --only operations"),
                runbook="docs/runbooks/role-down.md",
            )
        ]

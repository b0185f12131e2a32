"""Outboxes: what was committed is published soon."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from opsplane.database import sql
from opsplane.ops.check import Finding, Part, Scene

LATE = 60.0


class Outboxes:
    """No event waits in an outbox for more than a minute."""

    name, daily = "outboxes", False
    needs: tuple[Part, ...] = ("postgres",)

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each database whose relay does not keep up."""
        findings = []
        for database, pool in scene.databases.items():
            there = await pool.fetch_one(sql("opsplane.events", "has_outbox"))
            row = (
                await pool.fetch_one(sql("opsplane.events", "count_unpublished"))
                if there and there["here"]
                else None
            )
            if row is None or row["lag"] <= LATE:
                continue
            findings.append(
                Finding(
                    check=self.name,
                    severity="critical",
                    summary=f"{row['pending']} events of {database} wait to be published, the oldest for {row['lag']:.0f} s.",
                    evidence={"database": database, "pending": row["pending"], "oldestSeconds": row["lag"]},
                    repair=scene.start("valkey" if "valkey" in scene.absent else database),
                    runbook="docs/runbooks/role-down.md",
                    since=datetime.now(UTC) - timedelta(seconds=row["lag"]),
                )
            )
        return findings

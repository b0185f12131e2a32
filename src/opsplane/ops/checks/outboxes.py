"""Outboxes: what was committed is published soon."""

from __future__ import annotations

from opsplane.database import sql
from opsplane.ops.check import Finding, Scene

LATE = 60.0


class Outboxes:
    """No event waits in an outbox for more than a minute."""

    name = "outboxes"

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each database whose relay does not keep up."""
        findings = []
        for database, pool in scene.databases.items():
            row = await pool.fetch_one(sql("opsplane.events", "count_unpublished"))
            if row is None or row["lag"] <= LATE:
                continue
            findings.append(
                Finding(
                    check=self.name,
                    severity="critical",
                    summary=f"{row['pending']} events of {database} wait to be published, the oldest for {row['lag']:.0f} s.",
                    evidence={"database": database, "pending": row["pending"], "oldestSeconds": row["lag"]},
                    repair=scene.command(f"up --detach --only {database}"),
                    runbook="docs/runbooks/role-down.md",
                )
            )
        return findings

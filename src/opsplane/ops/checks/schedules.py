"""Schedules: their times are decided, their tasks can be created, none is paused for good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from opsplane.database import sql
from opsplane.ops.check import Finding, Part, Scene

ROOM = "opsplane.ops"
LATE = timedelta(minutes=1)
RUNBOOK = "docs/runbooks/schedule-late.md"


class Schedules:
    """No schedule is paused or late by a minute, and its last time led to a task."""

    name, daily = "schedules", False
    needs: tuple[Part, ...] = ("postgres",)

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each schedule that is not well."""
        rows = await scene.operations.fetch(sql(ROOM, "list_schedules"))
        findings = [self._judge(scene, row) for row in rows]
        return [finding for finding in findings if finding is not None]

    def _judge(self, scene: Scene, row: dict[str, Any]) -> Finding | None:
        name, late = row["name"], row["next_at"] is not None and datetime.now(UTC) - row["next_at"] > LATE
        evidence = {"schedule": name, "taskType": row["task_type"], "cron": f"{row['cron']} {row['zone']}"}
        if row["paused_at"] is not None:
            text = f"The schedule {name} is paused by {row['paused_by']}."
            repair, since = scene.command(f"schedule resume {name}"), row["paused_at"]
            evidence["reason"] = row["reason"]
        elif late:
            text = f"The schedule {name} is late: nobody has decided its time."
            repair, since = scene.start("operations"), row["next_at"]
        elif row["outcome"] in ("missed", "refused"):
            text = f"The last time of the schedule {name} was {row['outcome']}: {row['detail']}"
            repair, since = scene.command(f"schedule run {name}"), row["due_at"]
        else:
            return None
        return Finding(
            check=self.name,
            severity="critical" if late and row["paused_at"] is None else "warning",
            summary=text,
            evidence=evidence,
            repair=repair,
            runbook=RUNBOOK,
            since=since,
        )

"""Tasks: none is stuck, few fail, tomorrow's can be finished."""

from __future__ import annotations

from typing import Any

from opsplane.database import sql
from opsplane.ops.check import Finding, Part, Scene

ROOM = "opsplane.ops"
FAILED_LEAST, FAILED_SHARE = 10, 0.2
STUCK_MARGIN, STILL_SECONDS, CANCEL_SECONDS = 60.0, 3600.0, 600.0
WORDS = {
    "orphaned": "belong to a worker that is gone, and nobody takes them",
    "overdue": "run past their timeout, and nobody ends them",
    "deaf": "were asked to stop ten minutes ago and still run",
    "still": "have shown no progress for an hour",
}


class StuckTasks:
    """No running task belongs to nobody, is past its time, ignores its cancellation or has long shown no progress."""

    name, daily = "stuck tasks", False
    needs: tuple[Part, ...] = ("postgres",)

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each of the four kinds."""
        limits = {"margin": STUCK_MARGIN, "still": STILL_SECONDS, "cancel": CANCEL_SECONDS}
        rows = await scene.operations.fetch(sql(ROOM, "stuck_tasks"), limits)
        return [self._judge(scene, row) for row in rows]

    def _judge(self, scene: Scene, row: dict[str, Any]) -> Finding:
        repairs = {
            "orphaned": scene.start("operations"),
            "overdue": scene.start("operations"),
            "deaf": scene.start("worker"),
            "still": scene.command(f"task cancel {' '.join(row['tasks'])}"),
        }
        return Finding(
            check=self.name,
            severity="warning" if row["kind"] == "still" else "critical",
            summary=f"{row['count']} running tasks {WORDS[row['kind']]}.",
            evidence={name: row[name] for name in ("count", "tasks", "types", "workers")},
            repair=repairs[row["kind"]],
            runbook="docs/runbooks/tasks-stuck.md",
            since=row["since"],
            first="Look whether it still works: some take hours." if row["kind"] == "still" else None,
        )


class FailedTasks:
    """Of each type fewer than ten tasks, or a fifth, failed within a day."""

    name, daily = "failed tasks", False
    needs: tuple[Part, ...] = ("postgres",)

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each type that fails in numbers; its command runs the latest of them again."""
        limits = {"least": FAILED_LEAST, "share": FAILED_SHARE}
        return [
            Finding(
                check=self.name,
                severity="warning",
                summary=f"{row['failed']} of {row['finished']} {row['task_type']} tasks failed within a day.",
                evidence={"type": row["task_type"], "failed": row["failed"], "lastError": row["last_error"]},
                repair=scene.command(f"task retry {' '.join(row['latest'])}"),
                runbook="docs/runbooks/tasks-fail.md",
                since=row["since"],
                first="Remove what makes them fail.",
            )
            for row in await scene.operations.fetch(sql(ROOM, "failed_tasks"), limits)
        ]


class Partitions:
    """Today's and tomorrow's partitions of the task history are there."""

    name, daily = "partitions", False
    needs: tuple[Part, ...] = ("postgres",)

    async def look(self, scene: Scene) -> list[Finding]:
        """A finding when they are not: nothing could be finished after midnight UTC."""
        rows = await scene.operations.fetch(sql(ROOM, "missing_partitions"))
        if not rows:
            return []
        return [
            Finding(
                check=self.name,
                severity="critical",
                summary="Partitions of today or tomorrow are missing; without them no task can be finished.",
                evidence={"missing": [row["name"] for row in rows]},
                repair=scene.start("operations"),
                runbook="docs/runbooks/role-down.md",
            )
        ]

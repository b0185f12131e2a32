"""Callbacks: finished tasks are told to those who asked for it."""

from __future__ import annotations

from typing import Any

from opsplane.database import sql
from opsplane.ops.check import Finding, Part, Scene

ROOM = "opsplane.ops"
LATE_SECONDS = 300.0
RUNBOOK = "docs/runbooks/callbacks-dead.md"


class Callbacks:
    """No callback was given up within a day, and those that are due are tried."""

    name, daily = "callbacks", False
    needs: tuple[Part, ...] = ("postgres",)

    async def look(self, scene: Scene) -> list[Finding]:
        """A finding when nobody sends, and one for each receiver that was given up."""
        (row,) = await scene.operations.fetch(sql(ROOM, "late_callbacks"), {"late": LATE_SECONDS})
        dead = await scene.operations.fetch(sql(ROOM, "dead_callbacks"))
        late = [self._late(scene, row)] if row["late"] else []
        return late + [self._dead(scene, row) for row in dead]

    def _late(self, scene: Scene, row: dict[str, Any]) -> Finding:
        return Finding(
            check=self.name,
            severity="critical",
            summary=f"{row['late']} callbacks have been due for five minutes, and nobody sends them.",
            evidence={"late": row["late"]},
            repair=scene.start("operations"),
            runbook=RUNBOOK,
            since=row["since"],
        )

    def _dead(self, scene: Scene, row: dict[str, Any]) -> Finding:
        return Finding(
            check=self.name,
            severity="warning",
            summary=f"{row['dead']} callbacks to {row['receiver']} were given up: {row['last_error']}",
            evidence={name: row[name] for name in ("receiver", "dead", "tasks")},
            repair=scene.command(f"task callback {' '.join(row['tasks'])} --retry"),
            runbook=RUNBOOK,
            since=row["since"],
            first="Have the receiver repaired, or its address allowed.",
        )

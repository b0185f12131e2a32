"""The broker: what it lost was rebuilt."""

from __future__ import annotations

from opsplane.database import sql
from opsplane.ops.check import Finding, Part, Scene


class LostTopics:
    """No loss of the broker's memory is left unrepaired."""

    name, daily = "lost topics", False
    needs: tuple[Part, ...] = ("postgres", "valkey")

    async def look(self, scene: Scene) -> list[Finding]:
        """A finding while streams are missing that the outboxes can fill again."""
        row = await scene.operations.fetch_one(sql("opsplane.events", "count_lost_incarnations"))
        if row is None or not row["count"]:
            return []
        return [
            Finding(
                check=self.name,
                severity="critical",
                summary="The broker lost its streams and was not rebuilt.",
                evidence={"losses": row["count"]},
                repair=scene.command("topic rebuild --yes"),
                runbook="docs/runbooks/broker-lost.md",
                since=row["since"],
            )
        ]

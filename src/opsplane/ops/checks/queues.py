"""Task queues: none is paused for good, files that tasks wait for arrive or are given up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from opsplane.database import sql
from opsplane.ops.check import Finding, Part, Scene
from opsplane.tasks import QueueState, TaskStore

ROOM = "opsplane.ops"
WAIT = 300.0
UPLOAD_MARGIN = 60.0


class Queues:
    """No queue is paused or drained, and no due task waits for more than five minutes."""

    name, daily = "queues", False
    needs: tuple[Part, ...] = ("postgres",)

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each queue that is not well."""
        findings = [self._judge(scene, queue) for queue in await TaskStore(scene.operations).queues()]
        return [finding for finding in findings if finding is not None]

    def _judge(self, scene: Scene, queue: QueueState) -> Finding | None:
        waited = (datetime.now(UTC) - queue.oldest).total_seconds() if queue.oldest else 0.0
        evidence: dict[str, Any] = {
            "queue": queue.name,
            "pending": queue.pending,
            "processing": queue.processing,
        }
        if queue.paused:
            text = f"The queue {queue.name} is paused by {queue.paused_by}."
            repair, since = scene.command(f"queue resume {queue.name}"), queue.paused_at
            evidence["reason"] = queue.reason
        elif queue.draining and waited <= WAIT:
            left = f"{queue.unfinished} tasks are left" if queue.unfinished else "it is empty"
            text = f"The queue {queue.name} is drained by {queue.drained_by}: {left}, new ones are refused."
            repair, since = scene.command(f"queue resume {queue.name}"), queue.drained_at
            evidence["reason"] = queue.drain_reason
        elif waited > WAIT:
            text = f"A task waits in the queue {queue.name} for {waited / 60:.0f} minutes."
            repair, since = scene.start("worker"), queue.oldest
            evidence["oldestSeconds"] = waited
        else:
            return None
        return Finding(
            check=self.name,
            severity="warning" if queue.paused or waited <= WAIT else "critical",
            summary=text,
            evidence=evidence,
            repair=repair,
            runbook="docs/runbooks/queue-paused.md",
            since=since,
        )


class Uploads:
    """No task waits for its file past its time: the operations role looks every two seconds and gives such tasks up."""

    name, daily = "uploads", False
    needs: tuple[Part, ...] = ("postgres",)

    async def look(self, scene: Scene) -> list[Finding]:
        """A finding when some wait for a minute longer."""
        row = await scene.operations.fetch_one(sql(ROOM, "overdue_uploads"), {"margin": UPLOAD_MARGIN})
        if row is None or not row["count"]:
            return []
        return [
            Finding(
                check=self.name,
                severity="warning",
                summary=f"{row['count']} tasks wait for files that should have come and are not given up.",
                evidence={"count": row["count"], "tasks": row["tasks"]},
                repair=scene.start("operations"),
                runbook="docs/runbooks/tasks-stuck.md",
                since=row["since"],
            )
        ]

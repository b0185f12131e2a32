"""Task queues: none is paused for good, somebody works, tasks do not wait long and do not fail in numbers."""

from __future__ import annotations

from datetime import UTC, datetime

from opsplane.database import sql
from opsplane.ops.check import Finding, Scene
from opsplane.ops.checks.platform import ROOM
from opsplane.tasks import QueueState, TaskStore

WAIT = 300.0
FAILED_LEAST, FAILED_SHARE = 10, 0.2


class Queues:
    """No queue is paused, and no due task waits for more than five minutes."""

    name = "queues"

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each queue that is not well."""
        findings = [self._judge(scene, queue) for queue in await TaskStore(scene.operations).queues()]
        return [finding for finding in findings if finding is not None]

    def _judge(self, scene: Scene, queue: QueueState) -> Finding | None:
        waited = (datetime.now(UTC) - queue.oldest).total_seconds() if queue.oldest else 0.0
        evidence = {"queue": queue.name, "pending": queue.pending, "processing": queue.processing}
        if queue.paused:
            text, repair = (
                f"The queue {queue.name} is paused by {queue.paused_by}.",
                f"queue resume {queue.name}",
            )
            evidence |= {"pausedAt": queue.paused_at, "reason": queue.reason}
        elif waited > WAIT:
            text = f"A task waits in the queue {queue.name} for {waited / 60:.0f} minutes."
            repair, evidence["oldestSeconds"] = "up --detach --only worker", waited
        else:
            return None
        return Finding(
            check=self.name,
            severity="warning" if queue.paused else "critical",
            summary=text,
            evidence=evidence,
            repair=scene.command(repair),
            runbook="docs/runbooks/queue-paused.md",
        )


class Workers:
    """Somebody runs tasks."""

    name = "workers"

    async def look(self, scene: Scene) -> list[Finding]:
        """A finding when no worker is there."""
        workers = await TaskStore(scene.operations).workers()
        if any(worker.gone_at is None for worker in workers):
            return []
        return [
            Finding(
                check=self.name,
                severity="critical",
                summary="No worker runs tasks.",
                evidence={"lately": {worker.name: worker.gone_reason for worker in workers}},
                repair=scene.command("up --detach --only worker"),
                runbook="docs/runbooks/worker-lost.md",
            )
        ]


class FailedTasks:
    """Of each type fewer than ten tasks, or a fifth, failed within a day."""

    name = "failed tasks"

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each type that fails in numbers."""
        limits = {"least": FAILED_LEAST, "share": FAILED_SHARE}
        return [
            Finding(
                check=self.name,
                severity="warning",
                summary=f"{row['failed']} of {row['finished']} {row['task_type']} tasks failed within a day.",
                evidence={"lastError": row["last_error"]},
                repair=scene.command(f"task ls --status failed --type {row['task_type']}"),
                runbook="docs/runbooks/tasks-fail.md",
            )
            for row in await scene.operations.fetch(sql(ROOM, "failed_tasks"), limits)
        ]

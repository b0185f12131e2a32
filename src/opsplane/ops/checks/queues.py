"""Task queues: none is paused for good, somebody works, files that tasks wait for arrive or are given up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from opsplane.database import sql
from opsplane.ops.check import Finding, Part, Scene
from opsplane.tasks import QueueState, TaskStore, WorkerState
from opsplane.tasks.lease import CLASS

ROOM = "opsplane.ops"
WAIT = 300.0
SILENCE = 60.0
UPLOAD_MARGIN = 60.0
START_SECONDS = 15.0


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


class Workers:
    """Somebody runs tasks: workers are there, they are heard of, between them they know every type."""

    name, daily = "workers", False
    needs: tuple[Part, ...] = ("postgres",)

    def __init__(self, silence: float = SILENCE) -> None:
        self._silence = silence

    async def look(self, scene: Scene) -> list[Finding]:
        """A finding when no worker is there, for each that is silent, and for types that none runs."""
        known = await TaskStore(scene.operations).workers()
        present = [worker for worker in known if worker.gone_at is None]
        heard = [worker for worker in present if self._hears(worker)]
        leases = await scene.operations.fetch(sql(ROOM, "held_leases"), {"class": CLASS})
        held = {row["number"] for row in leases}
        findings = [
            self._silent(scene, worker, held=worker.number in held)
            for worker in present
            if worker not in heard and (worker.number in held or not _just_started(scene, "operations"))
        ]
        if not present:
            findings.append(self._none(scene, known))
        missing = set(scene.task_types) - {name for worker in heard for name in worker.task_types}
        own, remote = sorted(missing - set(scene.remote_types)), sorted(missing & set(scene.remote_types))
        if heard and own:
            text = f"No worker runs tasks of the types {', '.join(own)}."
            findings.append(self._finding(scene, text, {"types": own, "workers": len(heard)}, None))
        if remote:
            findings.append(self._no_remote(remote))
        return findings

    def _hears(self, worker: WorkerState) -> bool:
        """A remote worker need not call before its lease ends."""
        return _seconds_since(worker.lease_until or worker.beat_at) <= self._silence

    def _no_remote(self, types: list[str]) -> Finding:
        return Finding(
            check=self.name,
            severity="critical",
            summary=f"No remote worker claims tasks of the types {', '.join(types)}.",
            evidence={"types": types},
            first="Start one where it lives.",
            repair="opsplane worker ls",
            runbook="docs/runbooks/worker-lost.md",
        )

    def _silent(self, scene: Scene, worker: WorkerState, *, held: bool) -> Finding:
        """It hangs when it holds its lease; else it is gone and the operations role has not noticed."""
        text = f"The worker {worker.name} has not been heard of for {_seconds_since(worker.beat_at):.0f} s"
        evidence = {"worker": worker.name, "pid": worker.pid, "running": worker.running, "leaseHeld": held}
        why, role = (
            (": it hangs.", "worker") if held else (": it is gone, and nobody takes its tasks.", "operations")
        )
        return self._finding(scene, text + why, evidence, worker.beat_at, role)

    def _none(self, scene: Scene, known: list[WorkerState]) -> Finding:
        lately = {worker.name: worker.gone_reason for worker in known}
        went = max((worker.gone_at for worker in known if worker.gone_at), default=None)
        return self._finding(scene, "No worker runs tasks.", {"lately": lately}, went)

    def _finding(
        self, scene: Scene, text: str, evidence: dict[str, Any], since: datetime | None, role: str = "worker"
    ) -> Finding:
        return Finding(
            check=self.name,
            severity="critical",
            summary=text,
            evidence=evidence,
            repair=scene.start(role),
            runbook="docs/runbooks/worker-lost.md",
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


def _just_started(scene: Scene, name: str) -> bool:
    """Whether the role has hardly had the time for its rounds."""
    since = next((role.since for role in scene.roles if role.name == name), None)
    return since is not None and _seconds_since(since) < START_SECONDS


def _seconds_since(moment: datetime) -> float:
    return (datetime.now(UTC) - moment).total_seconds()

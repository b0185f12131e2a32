"""Workers: somebody runs the tasks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from opsplane.database import sql
from opsplane.ops.check import Finding, Part, Scene
from opsplane.tasks import TaskStore, WorkerState
from opsplane.tasks.lease import CLASS

ROOM = "opsplane.ops"
SILENCE = 60.0
START_SECONDS = 15.0


class Workers:
    """Somebody runs tasks: workers are there, they are heard of, between them they know every type."""

    name, daily = "workers", False
    needs: tuple[Part, ...] = ("postgres",)

    def __init__(self, silence: float = SILENCE) -> None:
        self._silence = silence

    async def look(self, scene: Scene) -> list[Finding]:
        """A finding when no worker is there, for each that is silent, and for types that none runs, remote ones when tasks wait."""
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
        return findings + await self._no_remote(scene, remote)

    def _hears(self, worker: WorkerState) -> bool:
        """A remote worker need not call before its lease ends."""
        return _seconds_since(worker.lease_until or worker.beat_at) <= self._silence

    async def _no_remote(self, scene: Scene, types: list[str]) -> list[Finding]:
        """Those nobody claims while nobody needs them are well: their program need not run."""
        waiting = await scene.operations.fetch(sql(ROOM, "due_tasks"), {"types": types})
        if not waiting:
            return []
        names = [row["task_type"] for row in waiting]
        return [
            Finding(
                check=self.name,
                severity="critical",
                summary=f"Tasks wait, and no remote worker claims their types {', '.join(names)}.",
                evidence={"types": names, "waiting": sum(row["count"] for row in waiting)},
                first="Start one where it lives.",
                repair="opsplane worker ls",
                runbook="docs/runbooks/worker-lost.md",
                since=min(row["since"] for row in waiting),
            )
        ]

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


def _just_started(scene: Scene, name: str) -> bool:
    """Whether the role has hardly had the time for its rounds."""
    since = next((role.since for role in scene.roles if role.name == name), None)
    return since is not None and _seconds_since(since) < START_SECONDS


def _seconds_since(moment: datetime) -> float:
    return (datetime.now(UTC) - moment).total_seconds()

"""Schemas: what the services bring along is what the registry holds."""

from __future__ import annotations

from opsplane.events.schemas.files import Drift, drifts
from opsplane.ops.check import Finding, Part, Scene

RUNBOOK = "docs/runbooks/schema-drift.md"


class SchemaDrift:
    """Every schema file of the services is registered as it is, and no version of theirs waits as a draft."""

    name, daily = "schemas", False
    needs: tuple[Part, ...] = ("postgres",)

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each file that is not what the registry holds."""
        return [self._finding(scene, drift) for drift in await drifts(scene.operations, scene.schemas)]

    def _finding(self, scene: Scene, drift: Drift) -> Finding:
        name, first = f"{drift.subject}/{drift.version}.json", None
        if drift.kind == "changed":
            text = f"The file schemas/{name} was changed after it was registered; the registered one counts."
            first = f"Give the changed schema the next version, and put {name} back as it was."
            repair = scene.start("events")
        elif drift.kind == "draft":
            text = f"Version {drift.version} of {drift.subject} waits as a draft: it breaks somebody, or is outdated."
            first = f"See what it breaks: opsplane schema promote {drift.subject} {drift.version} --dry-run"
            repair = scene.command(f'schema promote {drift.subject} {drift.version} --force --reason "known"')
        else:
            text = f"The file schemas/{name} is not registered."
            repair = scene.start("events")
        return Finding(
            check=self.name,
            severity="critical" if drift.kind == "changed" else "warning",
            summary=text,
            evidence={
                "subject": drift.subject,
                "version": drift.version,
                "differences": drift.differences or None,
            },
            repair=repair,
            runbook=RUNBOOK,
            first=first,
        )

"""Circuit breakers: none keeps a group from reading."""

from __future__ import annotations

import shlex

from opsplane.events.breakers.overview import BreakerState, list_breakers
from opsplane.ops.check import Finding, Part, Scene

RUNBOOK = "docs/runbooks/breaker-open.md"


class Breakers:
    """No breaker of a declared group is open or half open."""

    name, daily = "breakers", False
    needs: tuple[Part, ...] = ("postgres", "valkey")

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each that is not closed."""
        return [
            self._finding(scene, breaker)
            for breaker in await list_breakers(scene.broker, scene.operations)
            if breaker.state != "closed" and breaker.group in scene.groups
        ]

    def _finding(self, scene: Scene, breaker: BreakerState) -> Finding:
        held = breaker.held_by is not None
        why = f"{breaker.held_by} holds it open: {breaker.reason}" if held else breaker.failure
        reason = "the reason is gone" if held else f"{breaker.dependency} answers again"
        return Finding(
            check=self.name,
            severity="warning" if held else "critical",
            summary=f"{breaker.group} waits for {breaker.dependency}: its breaker is open. {why}".strip(),
            evidence={
                "name": breaker.name, "state": breaker.state, "openings": breaker.openings,
                "failure": breaker.failure, "until": breaker.until, "heldBy": breaker.held_by,
            },
            repair=scene.command(f"breaker close {breaker.name} --reason {shlex.quote(reason)}"),
            runbook=RUNBOOK,
            since=breaker.since,
            first=None if held else f"Make {breaker.dependency} answer; then the breaker closes by itself within seconds.",
        )  # fmt: skip

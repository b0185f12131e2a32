"""The engines themselves: they answer."""

from __future__ import annotations

from opsplane.ops.check import Finding, Scene

TITLES = {"postgres": "PostgreSQL", "valkey": "The broker", "objects": "The object store"}


class Engines:
    """PostgreSQL with every database, the broker and the object store can be reached."""

    name, needs, daily = "engines", (), False

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each that is absent, with why."""
        return [self._judge(scene, name, reason) for name, reason in scene.absent.items()]

    def _judge(self, scene: Scene, name: str, reason: str) -> Finding:
        role = next((one for one in scene.roles if one.name == name), None)
        repair = scene.command("logs postgres") if name not in TITLES else scene.start(name)
        lasting = role is not None and role.health != "healthy"
        return Finding(
            check=self.name,
            severity="critical",
            summary=f"{TITLES.get(name, f'The database {name}')} cannot be reached.",
            evidence={"name": name, "error": reason, "health": role.health if role else None},
            repair=scene.command("doctor") if name == "objects" else repair,
            runbook="docs/runbooks/object-store.md" if name == "objects" else "docs/runbooks/engine-down.md",
            since=role.since if role and lasting else None,
        )

"""Consumer groups: somebody reads for each, none is paused for good, none falls behind."""

from __future__ import annotations

from opsplane.events.inspect import Group, list_groups
from opsplane.ops.check import Finding, Scene

LAG = 5000


class Consumers:
    """Every declared group has a living consumer, is not paused, and lags by less than 5,000 events."""

    name = "consumers"

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each group that is not well."""
        found = await list_groups(scene.broker, scene.operations, scene.groups)
        findings = [self._judge(scene, group) for group in found if group.group in scene.groups]
        return [finding for finding in findings if finding is not None]

    def _judge(self, scene: Scene, group: Group) -> Finding | None:
        owner = scene.owners.get(group.group, group.group)
        evidence = {
            "group": group.group,
            "alive": group.alive,
            "lag": group.lag,
            "pending": group.pending,
            "topics": group.topics,
        }
        if group.paused:
            text, repair = f"The group {group.group} is paused.", f"consumer resume {group.group}"
        elif not group.alive:
            text, repair = f"Nobody reads for the group {group.group}.", f"up --detach --only {owner}"
        elif group.lag > LAG:
            text, repair = f"The group {group.group} is {group.lag} events behind.", f"logs {owner}"
        else:
            return None
        return Finding(
            check=self.name,
            severity="warning" if group.paused or group.alive else "critical",
            summary=text,
            evidence=evidence,
            repair=scene.command(repair),
            runbook="docs/runbooks/consumer-stopped.md",
        )

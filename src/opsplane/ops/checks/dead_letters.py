"""Dead letters: no topic has more open ones than its threshold."""

from __future__ import annotations

from opsplane.events import deadletters
from opsplane.ops.check import Finding, Scene


class DeadLetters:
    """Open dead letters by topic against the thresholds of `opsplane.events.thresholds`."""

    name = "dead letters"

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each topic above its threshold."""
        return [
            Finding(
                check=self.name,
                severity="critical",
                summary=f"{topic} has {facts['count']} open dead letters; more than {facts['threshold']} are too many.",
                evidence={
                    "topic": topic,
                    "open": facts["count"],
                    "threshold": facts["threshold"],
                    "oldest": facts["oldest"],
                },
                repair=scene.command(f"dlq retry --topic {topic}"),
                runbook="docs/runbooks/dead-letters.md",
            )
            for topic, facts in (await deadletters.stats(scene.operations)).items()
            if facts["exceeded"]
        ]

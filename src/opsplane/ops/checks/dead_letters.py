"""Dead letters: no topic has more open ones than its threshold, and none is forgotten."""

from __future__ import annotations

from typing import Any

from opsplane.database import sql
from opsplane.events import deadletters
from opsplane.ops.check import Finding, Part, Scene

ROOM = "opsplane.ops"
FORGOTTEN = 86400.0
HOPELESS = frozenset({"undecodable", "expired"})
FIRST = {
    "validation": "Correct what publishes them, and either the schema or, by `opsplane dlq edit`, each of them: as they are they fail again.",
    "rejected": "Correct the event's data or the handler: it refused them.",
    "not_found": "Make what the handler looked for.",
    "authorization": "Give the service the right it misses.",
    "internal": "Correct the handler: its log says where it failed.",
    "poison": "Correct the handler: these events end its process.",
}


class DeadLetters:
    """Open dead letters by topic against the thresholds of `opsplane.events.thresholds`."""

    name, daily = "dead letters", False
    needs: tuple[Part, ...] = ("postgres",)

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each topic above its threshold and each reason: what cures one does not cure another."""
        stats = await deadletters.stats(scene.operations, thresholds=scene.thresholds)
        over = {topic: facts for topic, facts in stats.items() if facts["exceeded"]}
        rows = await scene.operations.fetch(
            sql(ROOM, "dead_letters_by_reason"), {"topics": list(over), "age": 0}
        )
        return [
            letters(
                scene, self.name, row, "critical",
                f"{row['topic']} has {over[row['topic']]['count']} open dead letters; more than "
                f"{over[row['topic']]['threshold']} are too many. {row['count']} of them: {row['reason']}.",
                {"open": over[row["topic"]]["count"], "threshold": over[row["topic"]]["threshold"]},
            )
            for row in rows
        ]  # fmt: skip


class ForgottenLetters:
    """No dead letter stays open for more than a day, however few they are."""

    name, daily = "forgotten dead letters", True
    needs: tuple[Part, ...] = ("postgres",)

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each topic within its threshold and each reason."""
        stats = await deadletters.stats(scene.operations, thresholds=scene.thresholds)
        within = [topic for topic, facts in stats.items() if not facts["exceeded"]]
        parameters = {"topics": within, "age": FORGOTTEN}
        rows = await scene.operations.fetch(sql(ROOM, "dead_letters_by_reason"), parameters)
        return [
            letters(
                scene, self.name, row, "warning",
                f"{row['count']} dead letters of {row['topic']} are open for more than a day: {row['reason']}.", {},
            )
            for row in rows
        ]  # fmt: skip


def letters(
    scene: Scene, check: str, row: dict[str, Any], severity: Any, summary: str, facts: dict[str, Any]
) -> Finding:
    """The finding about a topic's dead letters of one reason, with the repair that reason has."""
    topic, reason = row["topic"], row["reason"]
    which = f"--topic {topic} --class {reason}"
    repair = f"dlq retry {which}"
    if reason in HOPELESS:
        repair = f"dlq discard {which} --yes --reason 'can never be handled: {reason}'"
    names = ("topic", "reason", "count", "groups", "message", "example")
    return Finding(
        check=check,
        severity=severity,
        summary=summary,
        evidence={name: row[name] for name in names} | facts,
        repair=scene.command(repair),
        runbook="docs/runbooks/dead-letters.md",
        since=row["oldest"],
        first=FIRST.get(reason),
    )

"""Parked subjects: no subject of an ordered group waits for long behind an event that failed."""

from __future__ import annotations

from datetime import UTC, datetime

from opsplane.events.ordered import ParkedSubject, parked_subjects
from opsplane.ops.check import Finding, Part, Scene

SECONDS = 900.0


class ParkedSubjects:
    """Every subject goes on within fifteen minutes after one of its events has failed."""

    name, daily = "parked subjects", False
    needs: tuple[Part, ...] = ("postgres", "valkey")

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each group, about the subject that waits longest."""
        now = datetime.now(UTC)
        findings = []
        for group in scene.groups:
            parked = await parked_subjects(scene.broker, group, scene.operations)
            late = [one for one in parked if (now - one.since).total_seconds() > self._seconds]
            if late:
                findings.append(self._finding(scene, late, now))
        return findings

    def _finding(self, scene: Scene, late: list[ParkedSubject], now: datetime) -> Finding:
        first = late[0]
        minutes = (now - first.since).total_seconds() / 60
        evidence = {
            "group": first.group, "subjects": len(late), "events": sum(one.events for one in late),
            "subject": first.subject, "waitsFor": first.waits_for, "topic": first.topic,
            "eventId": first.event_id, "deadLetter": first.dead_letter,
        }  # fmt: skip
        told = None
        if first.dead_letter is not None:
            repair = scene.command(f"dlq retry {first.dead_letter}")
            told = "Mend what made the event fail; or give it up: " + scene.command(
                f"dlq discard {first.dead_letter} --yes --reason '…'"
            )
        else:
            role = "events" if first.waits_for == "retry" else scene.owners.get(first.group, first.group)
            repair = scene.start(role)
        return Finding(
            check=self.name,
            severity="warning",
            summary=f"{len(late)} subjects of {first.group} wait behind a failed event, {first.subject or 'events without subject'} "
            f"for {minutes:.0f} minutes.",
            evidence=evidence,
            repair=repair,
            runbook="docs/runbooks/subject-parked.md",
            since=first.since,
            first=told,
        )

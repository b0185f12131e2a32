"""Consumer groups: somebody reads for each, none is paused for good, none falls behind, retries come back."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from opsplane.database import sql
from opsplane.events.brokers import keys
from opsplane.events.inspect import Group, list_groups
from opsplane.events.streams import number
from opsplane.ops.check import Finding, Part, Scene

LAG = 5000
PENDING_SECONDS = 300.0
RETRY_SECONDS = 60.0
RUNBOOK = "docs/runbooks/consumer-stopped.md"


class Consumers:
    """Every declared group has a living consumer, is not paused, and lags by less than 5,000 events."""

    name, daily = "consumers", False
    needs: tuple[Part, ...] = ("postgres", "valkey")

    def __init__(self, lag: int = LAG) -> None:
        self._lag = lag

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each group that is not well."""
        found = await list_groups(scene.broker, scene.operations, scene.groups)
        pauses = {
            row["consumer_group"]: row
            for row in await scene.operations.fetch(sql("opsplane.events", "list_pauses"))
        }
        findings = [
            self._judge(scene, group, pauses.get(group.group, {}))
            for group in found
            if group.group in scene.groups
        ]
        return [finding for finding in findings if finding is not None]

    def _judge(self, scene: Scene, group: Group, pause: dict[str, Any]) -> Finding | None:
        owner = scene.owners.get(group.group, group.group)
        evidence = {
            "group": group.group,
            "alive": group.alive,
            "lag": group.lag,
            "pending": group.pending,
            "topics": group.topics,
        }
        if group.paused:
            text = f"The group {group.group} is paused."
            repair = scene.command(f"consumer resume {group.group}")
            evidence |= {"pausedBy": pause.get("paused_by"), "reason": pause.get("reason")}
        elif not group.alive:
            text, repair = f"Nobody reads for the group {group.group}.", scene.start(owner)
        elif group.lag > self._lag:
            text, repair = f"The group {group.group} is {group.lag} events behind.", scene.start(owner)
        else:
            return None
        return Finding(
            check=self.name,
            severity="warning" if group.paused or group.alive else "critical",
            summary=text,
            evidence=evidence,
            repair=repair,
            runbook=RUNBOOK,
            since=pause.get("paused_at"),
        )


class PendingEvents:
    """No event that a living group was given stays unfinished for more than `seconds`."""

    name, daily = "pending events", False
    needs: tuple[Part, ...] = ("postgres", "valkey")

    def __init__(self, seconds: float = PENDING_SECONDS) -> None:
        self._seconds = seconds

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each group and stream with an older one; paused groups and those nobody reads for have one."""
        groups = await list_groups(scene.broker, scene.operations, scene.groups)
        return [
            finding
            for group in groups
            if group.group in scene.groups
            and group.alive
            and not group.paused
            and (group.pending or group.retries)
            for stream in (*group.topics, keys.retry_stream(group.group))
            for finding in await self._oldest(scene, group.group, stream)
        ]

    async def _oldest(self, scene: Scene, group: str, stream: str) -> list[Finding]:
        if not await scene.broker.call("EXISTS", stream):
            return []
        idle = str(int(self._seconds * 1000))
        rows = await scene.broker.call("XPENDING", stream, group, "IDLE", idle, "-", "+", "1")
        if not rows:
            return []
        entry, consumer, milliseconds, deliveries = rows[0]
        owner = scene.owners.get(group, group)
        return [
            Finding(
                check=self.name,
                severity="warning",
                summary=f"An event on {stream} has been with {group} for {milliseconds / 60000:.0f} minutes.",
                evidence={
                    "group": group, "stream": stream, "entry": entry.decode(), "consumer": consumer.decode(),
                    "deliveries": deliveries,
                    "publishedAt": datetime.fromtimestamp(number(entry.decode())[0] / 1000, UTC),
                },
                repair=scene.start(owner),
                runbook="docs/runbooks/events-wait.md",
                since=datetime.now(UTC) - timedelta(milliseconds=milliseconds),
            )
        ]  # fmt: skip


class Retries:
    """What is to be tried again comes back to its group when it is due."""

    name, daily = "retries", False
    needs: tuple[Part, ...] = ("valkey",)

    def __init__(self, seconds: float = RETRY_SECONDS) -> None:
        self._seconds = seconds

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each group whose oldest due retry was not moved: the events role does that."""
        findings = []
        for group in scene.groups:
            now, schedule = time.time(), keys.retry_schedule(group)
            first = await scene.broker.call("ZRANGE", schedule, "0", "0", "WITHSCORES")
            due = float(first[1]) if first else now
            if now - due <= self._seconds:
                continue
            late = await scene.broker.call("ZCOUNT", schedule, "-inf", repr(now))
            findings.append(
                Finding(
                    check=self.name,
                    severity="critical",
                    summary=f"{late} retries of {group} are due and do not come back, the oldest for {now - due:.0f} s.",
                    evidence={"group": group, "due": late, "oldestSeconds": now - due},
                    repair=scene.start("events"),
                    runbook="docs/runbooks/events-wait.md",
                    since=datetime.fromtimestamp(due, UTC),
                )
            )
        return findings

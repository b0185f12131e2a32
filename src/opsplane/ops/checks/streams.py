"""Streams: none is full, none had to let go of events a group has not read."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import Any

from opsplane.events.brokers.keys import EVICTED, FULL
from opsplane.events.inspect import Group, list_groups
from opsplane.events.trimming import Mark, marks
from opsplane.ops.check import Finding, Part, Scene

RUNBOOK = "docs/runbooks/stream-full.md"
LATELY = 3600.0


class Streams:
    """No stream is full, and none has evicted unread events within the last hour."""

    name, daily = "streams", False
    needs: tuple[Part, ...] = ("valkey",)

    async def look(self, scene: Scene) -> list[Finding]:
        """One finding for each topic and each group because of which it is full, or which lost events of it."""
        full, evicted = await marks(scene.broker, FULL), await marks(scene.broker, EVICTED)
        since = datetime.now(UTC).timestamp() - LATELY
        lately = {topic: mark for topic, mark in evicted.items() if mark.at >= since}
        if not full and not lately:
            return []
        groups = {one.group: one for one in await list_groups(scene.broker, None, scene.groups)}
        findings = [
            self._finding(
                scene, topic, mark, groups.get(group), group, "is full and refuses events: {} reads"
            )
            for topic, mark in full.items()
            for group in mark.groups
        ]
        return findings + [
            self._finding(
                scene, topic, mark, groups.get(group), group,
                f"is full and has evicted {mark.count} events that were unread: {{}} reads",
            )
            for topic, mark in lately.items()
            for group in mark.groups
        ]  # fmt: skip

    def _finding(
        self, scene: Scene, topic: str, mark: Mark, group: Group | None, name: str, told: str
    ) -> Finding:
        alive = group.alive if group else 0
        who = f"{alive} consumers of {name}" if alive else f"nobody of the group {name}"
        on_topic: dict[str, Any] = {"topic": topic, "group": name, "alive": alive, "evicted": mark.count}
        on_topic |= {"lag": group.lag, "pending": group.pending} if group else {}
        return Finding(
            check=self.name,
            severity="critical",
            summary=f"{topic} {told.format(who)}{' too slowly' if alive else ''}.",
            evidence=on_topic,
            repair=self._repair(scene, name, topic, paused=bool(group and group.paused)),
            runbook=RUNBOOK,
            since=datetime.fromtimestamp(mark.at, UTC),
            first=None
            if name in scene.groups
            else "Make sure that nobody will ever read for this group again.",
        )

    def _repair(self, scene: Scene, group: str, topic: str, *, paused: bool) -> str:
        """A declared group's service is started, or its pause ended; one nobody declares is forgotten."""
        if group not in scene.groups:
            return scene.command(f"consumer forget {shlex.quote(group)} {topic} --yes")
        if paused:
            return scene.command(f"consumer resume {group}")
        return scene.start(scene.owners.get(group, group))

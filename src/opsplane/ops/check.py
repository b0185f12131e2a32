"""What a check is: it looks at one thing and returns findings, each with evidence and the command that repairs it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from opsplane.database import Pool
from opsplane.events import Broker
from opsplane.telemetry import get_logger

log = get_logger("ops")
PATIENCE = 15.0


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong: how bad, what shows it, the command that repairs it, where to read on."""

    check: str
    severity: Literal["warning", "critical"]
    summary: str
    evidence: dict[str, Any]
    repair: str
    runbook: str


class Role(msgspec.Struct, frozen=True):
    """An engine or role as the supervisor sees it."""

    name: str
    kind: str
    health: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What checks look at. `groups` are the consumer groups with their topics, `owners` the service of each."""

    operations: Pool
    broker: Broker
    state: Path
    databases: Mapping[str, Pool] = field(default_factory=dict)
    roles: Sequence[Role] = ()
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)

    def command(self, text: str) -> str:
        """The opsplane command, on this installation wherever it is typed."""
        return f"opsplane {text} --state {self.state}"


class Check(Protocol):
    """Looks at one thing; what it raises becomes a finding of its own."""

    @property
    def name(self) -> str:
        """What it looks at."""
        ...

    async def look(self, scene: Scene) -> list[Finding]:
        """What is wrong; empty when nothing is."""
        ...


class Report(msgspec.Struct, frozen=True):
    """What a run of checks found, the worst first."""

    at: datetime
    checks: list[str]
    findings: list[Finding]

    @property
    def well(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


async def run_checks(checks: Sequence[Check], scene: Scene) -> Report:
    """The report of all the checks, run side by side; each has fifteen seconds."""
    found = await asyncio.gather(*(_looked(check, scene) for check in checks))
    findings = sorted(
        (one for few in found for one in few), key=lambda one: (one.severity != "critical", one.check)
    )
    return Report(datetime.now(UTC), [check.name for check in checks], findings)


async def _looked(check: Check, scene: Scene) -> list[Finding]:
    try:
        async with asyncio.timeout(PATIENCE):
            return await check.look(scene)
    except Exception as error:  # noqa: BLE001  a check that cannot look is itself a finding
        log.warning("ops.check_failed", check=check.name, error=f"{type(error).__name__}: {error}")
        told = "it did not end in time" if isinstance(error, TimeoutError) else str(error)
        return [
            Finding(
                check=check.name,
                severity="critical",
                summary=f"The check of {check.name} could not look: {told}",
                evidence={"error": type(error).__name__},
                repair=scene.command("doctor"),
                runbook="docs/runbooks/check-cannot-look.md",
            )
        ]

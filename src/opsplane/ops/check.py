"""What a check is: it looks at one thing and returns findings, each with evidence and the command that repairs it."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from opsplane.database import Pool
from opsplane.errors import OpsplaneError, Unavailable
from opsplane.events import Broker
from opsplane.events.schemas import Schema
from opsplane.files import ObjectStore

PATIENCE = 15.0
Part = Literal["postgres", "valkey", "objects"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong: how bad, since when, what shows it, the command that repairs it, where to read on.

    `first` says what a person has to do before the command can help.
    """

    check: str
    severity: Literal["warning", "critical"]
    summary: str
    evidence: dict[str, Any]
    repair: str
    runbook: str
    since: datetime | None = None
    first: str | None = None


class Role(msgspec.Struct, frozen=True):
    """An engine or role as the supervisor sees it."""

    name: str
    kind: str
    health: str
    since: datetime | None = None
    restarts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What checks look at. `groups` are the consumer groups with their topics, `owners` the service of each.

    `absent` says why an engine (or `objects`), or one of the databases, cannot be reached; `pools` holds the others,
    `postgres` being the administrator's. `migrations` are the packages of each database by their source, `schemas` those
    of the services' files, `remote_types` those of the task types that workers outside the installation run, `thresholds` how many dead letters are too many where events.yaml says so.
    """

    state: Path
    broker: Broker
    pools: Mapping[str, Pool] = field(default_factory=dict)
    objects: ObjectStore | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    roles: Sequence[Role] = ()
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    task_types: Collection[str] = ()
    remote_types: Collection[str] = ()
    migrations: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    schemas: Sequence[Schema] = ()
    thresholds: Mapping[str, int] = field(default_factory=dict)

    @property
    def operations(self) -> Pool:
        """The operations database; raises `Unavailable` when it could not be reached."""
        return self._pool("operations")

    @property
    def administrator(self) -> Pool:
        """The server as its administrator sees it; raises `Unavailable` when it could not be reached."""
        return self._pool("postgres")

    @property
    def databases(self) -> Mapping[str, Pool]:
        """The platform's databases that can be reached."""
        return {name: pool for name, pool in self.pools.items() if name != "postgres"}

    def command(self, text: str) -> str:
        """The opsplane command, on this installation wherever it is typed."""
        return f"opsplane {text} --state {shlex.quote(str(self.state))}"

    def start(self, role: str) -> str:
        """The command that makes a role run: started when it is off, else stopped and started again."""
        known = next((one for one in self.roles if one.name == role), None)
        if known is None:
            return self.command("up --detach")
        up = self.command(f"up --detach --only {role}")
        if known.health == "stopped":
            return up
        return f"{self.command(f'down --only {role}')} && {up}"

    def _pool(self, name: str) -> Pool:
        if name not in self.pools:
            reason = self.absent.get(name) or self.absent.get("postgres") or "No connection was made."
            raise Unavailable(f"The database {name} cannot be reached: {reason}")
        return self.pools[name]


class Check(Protocol):
    """Looks at one thing; what it raises becomes a finding of its own.

    It is left out while something it `needs` is absent, and, when `daily`, unless the daily look is asked for:
    such a check writes, or finds what may wait until tomorrow.
    """

    @property
    def name(self) -> str:
        """What it looks at."""
        ...

    @property
    def needs(self) -> Sequence[Part]:
        """What it cannot look without."""
        ...

    @property
    def daily(self) -> bool:
        """Whether it belongs to the daily look only."""
        ...

    async def look(self, scene: Scene) -> list[Finding]:
        """What is wrong; empty when nothing is."""
        ...


class Report(msgspec.Struct, frozen=True):
    """What a run of checks found, the worst first; `skipped` could not look because what they need is absent.

    `day` holds the figures of the last 24 hours when they were asked for.
    """

    at: datetime
    checks: list[str]
    skipped: list[str]
    findings: list[Finding]
    day: dict[str, Any] | None = None

    @property
    def well(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


async def run_checks(checks: Sequence[Check], scene: Scene, *, daily: bool = False) -> Report:
    """The report of the checks, run side by side; each has fifteen seconds. The causes stand before what they cause."""
    wanted = [check for check in checks if daily or not check.daily]
    able = [check for check in wanted if not set(check.needs) & set(scene.absent)]
    found = await asyncio.gather(*(_looked(check, scene) for check in able))
    findings = sorted((one for few in found for one in few), key=lambda one: one.severity != "critical")
    skipped = [check.name for check in wanted if check not in able]
    return Report(datetime.now(UTC), [check.name for check in able], skipped, findings)


async def _looked(check: Check, scene: Scene) -> list[Finding]:
    try:
        async with asyncio.timeout(PATIENCE):
            return await check.look(scene)
    except Exception as error:  # noqa: BLE001  a check that cannot look is itself a finding
        told = error.message if isinstance(error, OpsplaneError) else str(error)
        told = "it did not end in time" if isinstance(error, TimeoutError) else told
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

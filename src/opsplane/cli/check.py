"""`opsplane check`: what is wrong, what shows it, the command that repairs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts
from cyclopts import Parameter

from opsplane import embedded
from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session

if TYPE_CHECKING:
    from pathlib import Path

    from opsplane.cli.session import Session
    from opsplane.ops import Finding, Role, Scene

app = cyclopts.App(
    name="check", help="Look for what is wrong, each finding with the command that repairs it."
)

FINDINGS = 3
DEFAULTS = Common()


@app.default
async def check(
    area: Annotated[
        Literal["all", "platform", "events", "operations"], Parameter(help="What to look at.")
    ] = "all",
    *,
    daily: Annotated[
        bool, Parameter(negative="", help="Also say what was looked at, for a daily report.")
    ] = False,
    common: Common = DEFAULTS,
) -> int:
    """Findings with evidence and repair, the worst first; exit code 3 when there are any, 0 when all is well."""
    from opsplane.ops import AREAS, run_checks

    async with session(common) as opened:
        report = await run_checks(AREAS[area], await _scene(opened))
    if common.output != "table":
        emit(report.findings if common.output == "name" else report, common.output)
        return 0 if report.well else FINDINGS
    for finding in report.findings:
        _print(finding)
    if daily:
        note(f"Looked at {', '.join(report.checks)} at {report.at:%Y-%m-%d %H:%M:%S} UTC.")
    note("✓ All is well." if report.well else f"✗ {len(report.findings)} findings.")
    return 0 if report.well else FINDINGS


def _print(finding: Finding) -> None:
    print(f"{finding.severity.upper():8}  {finding.check}: {finding.summary}")
    for name, value in finding.evidence.items():
        if value is not None:
            print(f"          {name}: {value}")
    print(f"          repair: {finding.repair}")
    print(f"          see {finding.runbook}")


async def _scene(opened: Session) -> Scene:
    from pathlib import Path

    from opsplane.ops import Scene
    from opsplane.service import collect_services

    services = collect_services()
    owners = {group: service.name for service in services.values() for group in service.groups()}
    groups = {
        group: sorted({topic for one in consumers for topic in one.topics})
        for service in services.values()
        for group, consumers in service.groups().items()
    }
    names = {"operations", *(service.database for service in services.values())}
    state = Path(opened.settings.state)
    return Scene(
        operations=await opened.pool("operations"),
        broker=await opened.broker("admin"),
        state=state,
        databases={name: await opened.pool(name) for name in sorted(names)},
        roles=_roles(state),
        groups=groups,
        owners=owners,
    )


def _roles(state: Path) -> list[Role]:
    from opsplane.ops import Role

    report = embedded.read_report(state) if embedded.supervisor_pid(state) is not None else None
    if report is None:
        return []
    engines = [Role(one.name, one.kind, one.health) for one in report.processes if one.kind == "engine"]
    return engines + [Role(role.name, "role", role.health) for one in report.processes for role in one.roles]

"""`opsplane check`: what is wrong, what shows it, the command that repairs it."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import cyclopts
from cyclopts import Parameter

from opsplane import embedded
from opsplane.cli.output import emit, note, printable
from opsplane.cli.session import Common, session

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from opsplane.cli.session import Session
    from opsplane.ops import Finding, Report, Role, Scene
    from opsplane.service import Service

app = cyclopts.App(
    name="check", help="Look for what is wrong, each finding with the command that repairs it."
)

FINDINGS = 3
ENGINE_PATIENCE = 6.0
DEFAULTS = Common()
OPERATIONS_MIGRATIONS = {
    "audit": "opsplane.database.audit_migrations",
    "outbox": "opsplane.events.migrations",
    "tasks": "opsplane.tasks.migrations",
    "events": "opsplane.events.operations_migrations",
}


@app.default
async def check(
    area: Annotated[
        Literal["all", "platform", "events", "operations"], Parameter(help="What to look at.")
    ] = "all",
    *,
    daily: Annotated[
        bool,
        Parameter(negative="", help="Look at what may wait for a day as well; show the last day's figures."),
    ] = False,
    common: Common = DEFAULTS,
) -> int:
    """Findings with evidence and repair, the worst first; exit code 3 when there are any, 0 when all is well."""
    import msgspec

    from opsplane.ops import AREAS, last_day, run_checks

    async with session(common) as opened:
        scene = await _scene(opened)
        report = await run_checks(AREAS[area], scene, daily=daily)
        if daily:
            report = msgspec.structs.replace(report, day=await last_day(scene))
    if common.output == "table":
        _tell(report)
    else:
        emit(report.findings if common.output == "name" else report, common.output)
    return 0 if report.well else FINDINGS


def _tell(report: Report) -> None:
    for finding in report.findings:
        _print(finding)
    if report.day is not None:
        _print_day(report)
    if report.skipped:
        note(f"Not looked at, because of what is missing: {', '.join(report.skipped)}.")
    note("✓ All is well." if report.well else f"✗ {len(report.findings)} findings.")


def _print(finding: Finding) -> None:
    print(f"{finding.severity.upper():8}  {finding.check}: {finding.summary}")
    if finding.since is not None:
        print(f"          since {finding.since:%Y-%m-%d %H:%M:%S} UTC")
    for name, value in finding.evidence.items():
        if value is not None:
            print(f"          {name}: {_shown(value)}")
    if finding.first is not None:
        print(f"          first: {finding.first}")
    print(f"          repair: {finding.repair}")
    print(f"          see {finding.runbook}")


def _print_day(report: Report) -> None:
    day: Mapping[str, Any] = report.day or {}
    print(f"The 24 hours before {report.at:%Y-%m-%d %H:%M:%S} UTC")
    published = day["published"]
    print(f"  events published   {_shown(published) if published else 'unknown'}")
    print(f"  dead letters       {_shown(day['deadLetters']) if day['deadLetters'] else 'unknown'}")
    if day["tasks"] is None:
        print("  tasks              unknown")
    for row in day["tasks"] or [{"type": "none finished"}]:
        kind, rest = row["type"], {name: value for name, value in row.items() if name != "type"}
        print(f"  tasks              {kind}  {_shown(rest)}".rstrip())
    print(f"  looked at          {', '.join(report.checks)}")


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{name} {_shown(one)}" for name, one in value.items())
    if isinstance(value, float):
        return f"{value:.1f}"
    return printable([str(one) for one in value] if isinstance(value, list) else value)


async def _scene(opened: Session) -> Scene:
    """The installation as far as it can be reached; raises `Unavailable` when nothing of it runs."""
    from pathlib import Path

    from opsplane.events.configuration import EventsFile
    from opsplane.ops import Scene
    from opsplane.service import collect_services, event_schemas, task_types

    services = collect_services()
    state = Path(opened.settings.state)
    roles = _roles(state)
    scene = Scene(
        state=state,
        broker=await opened.broker("admin"),
        roles=roles,
        groups={
            group: sorted({topic for one in consumers for topic in one.topics})
            for service in services.values()
            for group, consumers in service.groups().items()
        },
        owners={group: service.name for service in services.values() for group in service.groups()},
        task_types=[kind.name for kind in task_types(services.values())],
        remote_types=[kind.name for kind in task_types(services.values()) if kind.remote],
        migrations=_migrations(services.values()),
        schemas=event_schemas(services.values()).declared,
        thresholds=EventsFile(opened.settings.events_file).current.alerts.thresholds,
    )
    return await _reached(opened, scene, running=bool(roles))


async def _reached(opened: Session, scene: Scene, *, running: bool) -> Scene:
    """The scene with every connection that could be made, and with why the others could not."""
    import logging
    from dataclasses import replace

    from opsplane.cli.progress import state_option
    from opsplane.database import Pool
    from opsplane.errors import Unavailable

    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # what is absent is told once, as a finding
    names = ["postgres", *sorted(opened.settings.databases)]
    *tried, silent = await asyncio.gather(
        *(opened.pool(name) for name in names), _ping(scene), return_exceptions=True
    )
    pools = {name: one for name, one in zip(names, tried, strict=True) if isinstance(one, Pool)}
    lost = {name: _why(one) for name, one in zip(names, tried, strict=True) if not isinstance(one, Pool)}
    absent = (
        {name: why for name, why in lost.items() if name != "postgres"}
        if pools
        else {"postgres": lost["postgres"]}
    )
    if silent is not None:
        absent["valkey"] = _why(silent)
    if not running and {"postgres", "valkey"} <= absent.keys():
        raise Unavailable(
            f"The installation in {scene.state} does not run.",
            remedy=f"Start it with: opsplane up --detach{state_option(scene.state)}",
        )
    objects, why = await _objects(opened)
    return replace(scene, pools=pools, objects=objects, absent=absent | why)


def _why(error: object) -> str:
    return getattr(error, "message", None) or str(error) or "It did not answer in time."


async def _ping(scene: Scene) -> None:
    async with asyncio.timeout(ENGINE_PATIENCE):
        await scene.broker.call("PING")


async def _objects(opened: Session) -> tuple[Any, dict[str, str]]:
    from opsplane.errors import OpsplaneError
    from opsplane.files import open_store

    settings = opened.settings.objects
    try:
        store = await asyncio.to_thread(
            open_store,
            settings.url,
            settings.bucket,
            settings.signing_key.reveal(),
            opened.settings.gateway.public_url,
        )
    except (OSError, OpsplaneError) as error:
        return None, {"objects": _why(error)}
    return store, {}


def _migrations(services: Iterable[Service]) -> dict[str, dict[str, str]]:
    """The packages of migrations of each database by their source, as the roles apply them."""
    from opsplane.service import service_migrations

    found = {service.database: service_migrations(service) for service in services}
    return {"operations": dict(OPERATIONS_MIGRATIONS), **found}


def _roles(state: Path) -> list[Role]:
    from opsplane.ops import Role

    report = embedded.read_report(state) if embedded.supervisor_pid(state) is not None else None
    if report is None:
        return []
    found = []
    for one in report.processes:
        since = datetime.fromisoformat(one.since)
        if one.kind == "engine":
            found.append(Role(one.name, one.kind, one.health, since, one.restarts))
        found += [Role(role.name, "role", role.health, since, one.restarts) for role in one.roles]
    return found

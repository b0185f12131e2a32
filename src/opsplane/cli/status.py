from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cyclopts

from opsplane import config, embedded
from opsplane.cli.output import emit, note
from opsplane.cli.progress import here, state_option
from opsplane.cli.session import Common

app = cyclopts.App(name="status", help="Show every engine and role with its health.")

NOT_RUNNING = 4
DEFAULTS = Common()
COLUMNS = ("name", "kind", "health", "pid", "restarts", "since", "place")


@app.default
def status(*, common: Common = DEFAULTS) -> int:
    """Every engine and role: health, process id, URL or DSN; exit code 4 when the platform does not run.

    The forms json and yaml hold the engines' passwords, because tools need them; the table does not.
    """
    state = config.state_directory(common.state)
    settings = config.load(state)
    report = embedded.read_report(state) if embedded.supervisor_pid(state) is not None else None
    services = list(_services(report, settings)) if report else []
    if common.output == "table":
        if services:
            note(f"{here(state)}  {report.state if report else ''}  {settings.gateway.public_url}")
            emit(services, "table", columns=COLUMNS)
    elif common.output == "name":
        emit(services, "name")
    else:
        emit(_document(state, settings, report, services), common.output)
    if report is None:
        note(
            f"The installation in {here(state)} does not run. Start it with: opsplane up{state_option(state)}"
        )
        return NOT_RUNNING
    return 0


def _document(
    state: Path, settings: config.Settings, report: embedded.Report | None, services: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "state": str(state),
        "phase": report.state if report else "stopped",
        "pid": report.pid if report else None,
        "since": report.since if report else None,
        "seconds": report.seconds if report else None,
        "public_url": settings.gateway.public_url,
        "services": services,
    }


def _services(report: embedded.Report, settings: config.Settings) -> Iterator[dict[str, Any]]:
    dsns = {
        "postgres": settings.engines.postgres.superuser_dsn.reveal(),
        "valkey": settings.engines.valkey.admin_url.reveal(),
        "envoy": settings.gateway.public_url,
    }
    for process in report.processes:
        shared = {"process": process.name, "pid": process.pid, "restarts": process.restarts}
        rest = {**shared, "since": process.since, "log": process.log}
        if process.kind == "engine":
            url = dsns.get(process.name, "")
            yield {
                "name": process.name,
                "kind": "engine",
                "health": process.health,
                "url": url,
                **rest,
                "place": process.place,
            }
        for role in process.roles:
            pid = process.pid if role.health != "stopped" else None
            yield {
                "name": role.name,
                "kind": "role",
                "health": role.health,
                "url": role.url,
                **rest,
                "pid": pid,
                "place": role.url,
            }

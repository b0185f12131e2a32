from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
from cyclopts import Parameter

from opsplane.cli.output import emit, note
from opsplane.cli.session import Common

if TYPE_CHECKING:
    from opsplane.gateway import GatewayConfig

app = cyclopts.App(name="route", help="Explain, test and lint the gateway's routes.")

DEFAULTS = Common()
FINDINGS = 3
COLUMNS = ("name", "match", "methods", "service", "access", "limit", "timeout")
File = Annotated[Path | None, Parameter(help="A gateway.yaml to look at instead of the installation's.")]


@app.command(name="ls")
def list_routes(*, file: File = None, common: Common = DEFAULTS) -> None:
    """Every route in the order requests are matched with them, auto-routed resources included."""
    from opsplane.gateway import resolve

    rows = [
        {
            "name": route.name,
            "match": f"{route.kind} {route.pattern}",
            "methods": list(route.methods) or ["any"],
            "service": route.service,
            "access": "public" if route.public else ", ".join(route.roles) or "any verified caller",
            "limit": " ".join(
                f"{rate.count}/{rate.seconds:g}s per {what}"
                for what, rate in (("address", route.limit_address), ("user", route.limit_user))
                if rate is not None
            ),
            "timeout": f"{route.timeout:g}s" if route.timeout else "none",
        }
        for route in resolve(_config(file, common))
    ]
    emit(rows, common.output, columns=COLUMNS)


@app.command
def lint(*, file: File = None, common: Common = DEFAULTS) -> int:
    """Check gateway.yaml: errors (exit code 1, all at once), then what is probably not meant (exit code 3)."""
    from opsplane.gateway import lint as findings_of

    findings = findings_of(_config(file, common))
    if not findings:
        note("✓ No findings.")
        if common.output == "table":
            return 0
    emit(findings, common.output)
    return FINDINGS if findings else 0


@app.command(name="test")
def tell(
    method: Annotated[str, Parameter(help="GET, POST, …")],
    path: Annotated[str, Parameter(help="The path with its query, as a client sends it.")],
    *,
    role: Annotated[
        tuple[str, ...], Parameter(help="A role of the caller's token; may be given again.")
    ] = (),
    sub: Annotated[
        str | None, Parameter(help="The caller; without --sub and --role there is no token.")
    ] = None,
    file: File = None,
    common: Common = DEFAULTS,
) -> None:
    """Explain which route a request meets, which policies run, and what the service would see; nothing is sent."""
    from opsplane.gateway import explain

    roles = role if role or sub else None
    explained = explain(_config(file, common), method.upper(), path, roles, sub=sub or "someone")
    emit(explained, common.output)


def _config(file: Path | None, common: Common) -> GatewayConfig:
    """The configuration meant, read for the services this platform runs."""
    from opsplane import config
    from opsplane.gateway import parse
    from opsplane.service import collect_services

    settings = config.load(config.state_directory(common.state)) if file is None else None
    path = file or Path(settings.gateway.file if settings else "")
    if not path.is_file():
        from opsplane.errors import NotFound

        raise NotFound(f"There is no file {path}.", remedy="Name another one with --file.")
    services: dict[str, tuple[str, ...]] = {"gateway": (), "operations": (), "events": ()}
    services |= {name: service.resources for name, service in collect_services().items()}
    return parse(path.read_text(encoding="utf-8"), str(path), services=services)

"""Running roles: connections, parts, then HTTP and duties side by side until told to stop."""

from __future__ import annotations

import asyncio
import importlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from opsplane import config
from opsplane.app.composition import Composition, Part, composed
from opsplane.app.roles import PLATFORM, SERVICES
from opsplane.errors import InvalidInput
from opsplane.resilience import Stop, run_duties
from opsplane.telemetry import configure_logging
from opsplane.web import create_app, serve


def run(roles: Sequence[str], state: Path) -> None:
    """Serve `roles` of the installation in `state` until SIGTERM or SIGINT, then stop gracefully.

    Raises `InvalidInput` for an unknown role, `NotFound` where there is no installation.
    """
    known = (*PLATFORM, *SERVICES)
    unknown = [role for role in roles if role not in known]
    if unknown or not roles:
        raise InvalidInput(
            f"There is no role {', '.join(unknown)}." if unknown else "No role was named.",
            remedy=f"Roles are: {', '.join(known)}.",
        )
    settings = config.load(state)
    configure_logging("+".join(roles), sys.stdout, settings.logs.level)
    uvloop.run(_run(settings, roles))


async def build(composition: Composition, role: str) -> Part:
    """The part for a role; its module is imported now, so that a process knows only the rooms of its roles."""
    module = importlib.import_module(f"opsplane.app.parts.{role if role in PLATFORM else 'service'}")
    part: Part = await (module.part(composition) if role in PLATFORM else module.part(composition, role))
    return part


async def _run(settings: config.Settings, roles: Sequence[str]) -> None:
    stop = Stop()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with composed(settings) as composition:
        parts = [await build(composition, role) for role in roles]
        await composition.require_brokers()
        duties = [duty for part in parts for duty in part.duties]
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(_serve(composition, part, stop), name=part.role)
            group.create_task(run_duties(duties, stop, grace=10.0), name="duties")


async def _serve(composition: Composition, part: Part, stop: Stop) -> None:
    application = create_app(part.role, part.handlers, verifier=composition.verifier, health=part.health)
    address = composition.settings.listen[part.role]
    await serve(application, address.host, address.port, stop)

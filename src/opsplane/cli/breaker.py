from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

from opsplane import config
from opsplane.cli.output import emit, note
from opsplane.cli.progress import state_option
from opsplane.cli.session import Common, session

if TYPE_CHECKING:
    from opsplane.action import Action

app = cyclopts.App(name="breaker", help="List circuit breakers; hold them open, close and reset them.")

DEFAULTS = Common()
COLUMNS = ("name", "state", "since", "until", "openings", "failure", "heldBy", "reason")
Names = Annotated[tuple[str, ...], Parameter(help="Breakers, written group:dependency.")]
Reason = Annotated[str, Parameter(help="Why; goes to the audit log.")]
DryRun = Annotated[bool, Parameter(negative="", help="Only say which breakers would change.")]


@app.command(name="ls")
async def list_all(*, common: Common = DEFAULTS) -> None:
    """Every breaker: closed, open or half open, since when, what opened it, who holds it open."""
    from opsplane.events.breakers.overview import list_breakers

    async with session(common) as opened:
        found = await list_breakers(await opened.broker("admin"), await opened.pool("operations"))
    emit(found, common.output, columns=COLUMNS)


@app.command(name="open")
async def hold_open(
    names: Names, /, *, reason: Reason, dry_run: DryRun = False, common: Common = DEFAULTS
) -> None:
    """Hold breakers open until they are closed: their groups stop reading, and what they hold waits."""
    from opsplane.events.actions import OPEN_BREAKER

    await _change(OPEN_BREAKER, names, reason, dry_run, common)
    if not dry_run:
        option = state_option(config.state_directory(common.state))
        note(f'✓ Held open. Close with: opsplane breaker close {" ".join(names)} --reason "…"{option}')


@app.command
async def close(
    names: Names, /, *, reason: Reason, dry_run: DryRun = False, common: Common = DEFAULTS
) -> None:
    """Close breakers, whoever opened them: their groups read again."""
    from opsplane.events.actions import CLOSE_BREAKER

    await _change(CLOSE_BREAKER, names, reason, dry_run, common)


@app.command
async def reset(
    names: Names, /, *, reason: Reason, dry_run: DryRun = False, common: Common = DEFAULTS
) -> None:
    """Close breakers and forget that they were ever open: the next opening waits no longer than the first."""
    from opsplane.events.actions import RESET_BREAKER

    await _change(RESET_BREAKER, names, reason, dry_run, common)


async def _change(
    action: Action[Any, Any, Any], names: tuple[str, ...], reason: str, dry_run: bool, common: Common
) -> None:
    from opsplane.cli.acting import act, backbone, foresee
    from opsplane.events.actions import BreakerNames

    wanted = BreakerNames(names=names, because=reason)
    async with session(common) as opened:
        context = await backbone(opened)
        if dry_run:
            emit(await foresee(action, context, wanted), common.output)
            return
        emit(await act(opened, action, context, wanted, reason), common.output, columns=COLUMNS)

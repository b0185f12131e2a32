from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

from opsplane import config
from opsplane.cli.output import emit, note
from opsplane.cli.positions import add_to
from opsplane.cli.progress import state_option
from opsplane.cli.session import Common, session

if TYPE_CHECKING:
    from opsplane.action import Action

app = cyclopts.App(name="consumer", help="List consumer groups, pause and resume them, move their positions.")
add_to(app)

DEFAULTS = Common()
COLUMNS = ("group", "alive", "lag", "pending", "retries", "parked", "aside", "paused", "topics")
PARKED = ("group", "subject", "events", "since", "waits_for", "dead_letter", "topic", "event_id")
GroupOption = Annotated[str, Parameter(help="The consumer group.")]
ReasonOption = Annotated[str | None, Parameter(help="Why; goes to the audit log.")]


@app.command(name="ls")
async def list_groups(*, common: Common = DEFAULTS) -> None:
    """Every consumer group: living consumers, lag, pending entries, waiting retries, whether it is paused.

    Of ordered groups also how many subjects are parked, with how many events set aside.
    """
    from opsplane.events.inspect import list_groups as look
    from opsplane.service import collect_services

    declared = {
        group: sorted({topic for one in consumers for topic in one.topics})
        for service in collect_services().values()
        for group, consumers in service.groups().items()
    }
    async with session(common) as opened:
        found = await look(await opened.broker("admin"), await opened.pool("operations"), declared)
    emit(found, common.output, columns=COLUMNS)


@app.command
async def parked(group: GroupOption, *, common: Common = DEFAULTS) -> None:
    """The parked subjects of an ordered group: how many events wait, since when, and for which event or dead letter."""
    from opsplane.events.ordered import parked_subjects

    async with session(common) as opened:
        broker, pool = await opened.broker("admin"), await opened.pool("operations")
        found = await parked_subjects(broker, group, pool)
    emit(found, common.output, columns=PARKED)


@app.command
async def pause(group: GroupOption, *, reason: ReasonOption = None, common: Common = DEFAULTS) -> None:
    """Stop a group from reading; what it has read already is finished."""
    from opsplane.events.actions import PAUSE

    await _switch(PAUSE, group, reason, common)
    option = state_option(config.state_directory(common.state))
    note(f"✓ {group} is paused. It goes on with: opsplane consumer resume {group}{option}")


@app.command
async def resume(group: GroupOption, *, reason: ReasonOption = None, common: Common = DEFAULTS) -> None:
    """Let a paused group read."""
    from opsplane.events.actions import RESUME

    await _switch(RESUME, group, reason, common)
    note(f"✓ {group} reads.")


async def _switch(action: Action[Any, Any, Any], group: str, reason: str | None, common: Common) -> None:
    from opsplane.cli.acting import act, backbone
    from opsplane.events.actions import GroupName

    async with session(common) as opened:
        await act(opened, action, await backbone(opened), GroupName(group=group, because=reason), reason)

"""The commands that move positions of groups; `consumer` has them."""

from __future__ import annotations

from typing import Annotated, Any

import cyclopts
from cyclopts import Parameter

from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session

DEFAULTS = Common()
Group = Annotated[str, Parameter(help="The consumer group.")]
Topics = Annotated[tuple[str, ...], Parameter(help="Topics; all the group reads when none is named.")]
Reason = Annotated[str | None, Parameter(help="Why; goes to the audit log.")]
DryRun = Annotated[bool, Parameter(negative="", help="Only say what would happen on each topic.")]
Again = Annotated[
    bool, Parameter(negative="", help="Do again what was done: each event has its effect once more.")
]
SkipDone = Annotated[bool, Parameter(negative="", help="Skip what the group's inbox knows as done.")]
MOVED = ("topic", "position", "target", "again", "left_out", "epoch")


def add_to(app: cyclopts.App) -> None:
    """Give `app` the commands."""
    for command in (lag, seek, reset, forget):
        app.command(command)


async def lag(
    group: Annotated[str | None, Parameter(help="The consumer group; all when none is named.")] = None,
    /,
    *,
    topic: Annotated[tuple[str, ...], Parameter(help="Only this topic; may be given again.")] = (),
    watch: Annotated[float, Parameter(help="Seconds to watch, for the trend.")] = 1.0,
    common: Common = DEFAULTS,
) -> None:
    """How far groups are behind: events not given, not finished, age of the oldest, whether they catch up."""
    from opsplane.events.lag import lags

    async with session(common) as opened:
        found = await lags(await opened.broker("admin"), (group,) if group else (), topic, watch)
    emit(found, common.output)


async def seek(
    group: Group,
    topics: Topics = (),
    /,
    *,
    to: Annotated[
        str, Parameter(help="beginning, end, an entry's id, or a time with its zone (2026-05-01T12:00:00Z).")
    ],
    again: Again = False,
    skip_done: SkipDone = False,
    dry_run: DryRun = False,
    reason: Reason = None,
    common: Common = DEFAULTS,
) -> None:
    """Move a group's position; consumers go on from there by themselves."""
    from opsplane.events.actions import SEEK, SeekGroup

    wanted = SeekGroup(group=group, topics=topics, to=to, again=_answer(again, skip_done))
    await _move(SEEK, wanted, dry_run, reason, common)


async def reset(
    group: Group,
    topics: Topics = (),
    /,
    *,
    again: Again = False,
    skip_done: SkipDone = False,
    dry_run: DryRun = False,
    reason: Reason = None,
    common: Common = DEFAULTS,
) -> None:
    """Give a group everything that is on its topics, from the beginning."""
    from opsplane.events.actions import RESET, ResetGroup

    wanted = ResetGroup(group=group, topics=topics, again=_answer(again, skip_done))
    await _move(RESET, wanted, dry_run, reason, common)


async def forget(
    group: Group,
    topics: Topics = (),
    /,
    *,
    dry_run: DryRun = False,
    yes: Annotated[bool, Parameter(negative="", help="Yes, its unread events need not be kept.")] = False,
    reason: Reason = None,
    common: Common = DEFAULTS,
) -> None:
    """Strike a group that nobody reads for any more off its topics, so that they are not kept for it."""
    from opsplane.cli.acting import act, backbone, foresee
    from opsplane.errors import InvalidInput
    from opsplane.events.actions import FORGET, ForgetGroup

    wanted = ForgetGroup(group=group, topics=topics)
    async with session(common) as opened:
        context = await backbone(opened)
        sample = await foresee(FORGET, context, wanted)
        if dry_run:
            emit(sample, common.output, columns=MOVED)
            return
        if not yes:
            raise InvalidInput("Nothing was changed.", remedy="If that is meant, run it again with --yes.")
        done = await act(opened, FORGET, context, wanted, reason)
    note(f"✓ {group} is struck off {len(done)} topics.")


async def _move(action: Any, wanted: Any, dry_run: bool, reason: str | None, common: Common) -> None:
    from opsplane.cli.acting import act, backbone, foresee

    async with session(common) as opened:
        context = await backbone(opened)
        if dry_run:
            emit(await foresee(action, context, wanted), common.output, columns=MOVED)
            return
        emit(await act(opened, action, context, wanted, reason), common.output, columns=MOVED)


def _answer(again: bool, skip_done: bool) -> bool | None:
    from opsplane.errors import InvalidInput

    if again and skip_done:
        raise InvalidInput("Both --again and --skip-done were given.", remedy="Give one of them.")
    return True if again else False if skip_done else None

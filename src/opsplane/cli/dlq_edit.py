"""Editing the event of a dead letter."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from opsplane.cli.dlq import DEFAULTS, DryRun
from opsplane.cli.dlq_replays import OUTCOME, outcome, warn
from opsplane.cli.given import given_json, given_places
from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session


async def edit(
    number: Annotated[int, Parameter(name="ID", help="The number of the dead letter.")],
    *,
    data: Annotated[
        str | None,
        Parameter(help="The new payload: JSON, @FILE, or - for standard input.", allow_leading_hyphen=True),
    ] = None,
    event: Annotated[
        str | None, Parameter(help="The new event, envelope and all: @FILE, or -.", allow_leading_hyphen=True)
    ] = None,
    put: Annotated[
        list[str] | None,
        Parameter(name="--set", help="/place=value in the payload; may be repeated.", negative=""),
    ] = None,
    cut: Annotated[
        list[str] | None, Parameter(name="--unset", help="/place in the payload to take away.", negative="")
    ] = None,
    force: Annotated[bool, Parameter(negative="", help="Keep it although it violates the schema.")] = False,
    retry: Annotated[bool, Parameter(negative="", help="Replay it then, and wait for the outcome.")] = False,
    reason: Annotated[str, Parameter(help="Why; needed, kept with the edit and in the audit log.")] = "",
    dry_run: DryRun = False,
    common: Common = DEFAULTS,
) -> int:
    """Change the event of a waiting dead letter; the original is kept beside it. Every violation of the schema is listed."""
    from msgspec import UNSET

    from opsplane.cli.acting import act, backbone, foresee
    from opsplane.events.actions import EDIT, RETRY, EditLetter, RetryLetters
    from opsplane.events.deadletters import Selection

    wanted = EditLetter(
        letter=number,
        because=reason,
        data=UNSET if data is None else given_json(data),
        event=UNSET if event is None else given_json(event),
        put=given_places(put or ()),
        cut=tuple(cut or ()),
        force=force,
    )
    columns = ("place", "before", "after")
    async with session(common) as opened:
        context = await backbone(opened)
        if dry_run:
            emit(await foresee(EDIT, context, wanted), common.output, columns=columns)
            return 0
        shown = await act(opened, EDIT, context, wanted, reason)
        if not retry:
            emit(
                shown["edits"][-1]["changes"] if common.output == "table" else shown,
                common.output,
                columns=columns,
            )
            note(f"✓ kept; replay it with: opsplane dlq retry {number}")
            return 0
        again = RetryLetters(selection=Selection(ids=(number,)))
        replay = await act(opened, RETRY, context, again, reason)
        warn(replay)
        replay = await outcome(context, replay)
    emit(replay, common.output, columns=OUTCOME)
    return 1 if replay.failed else 0

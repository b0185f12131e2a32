"""Replays of dead letters: started, watched, listed, cancelled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from opsplane.cli.dlq import ANY, COLUMNS, DEFAULTS, All, DryRun, Ids, Reason, Which
from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session

if TYPE_CHECKING:
    from opsplane.events.backbone import Backbone
    from opsplane.events.deadletters import Replay

PATIENCE = 5.0
OUTCOME = ("id", "state", "total", "sent", "unsent", "resolved", "failed", "withdrawn")
Number = Annotated[int, Parameter(name="ID", help="The number of the replay, from `dlq replays`.")]


async def retry(
    *ids: Ids,
    which: Which = ANY,
    everything: All = False,
    rate: Annotated[float | None, Parameter(help="At most how many a second.")] = None,
    dry_run: DryRun = False,
    detach: Annotated[bool, Parameter(negative="", help="Do not wait for the outcome.")] = False,
    reason: Reason = None,
    common: Common = DEFAULTS,
) -> int:
    """Replay dead letters to the group that failed and wait for the outcome; exit code 1 when some fail again."""
    from opsplane.cli.acting import act, backbone, foresee
    from opsplane.events.actions import RETRY, RetryLetters

    wanted = RetryLetters(selection=which.selection(ids, everything=everything), rate=rate)
    async with session(common) as opened:
        context = await backbone(opened)
        if dry_run:
            emit(await foresee(RETRY, context, wanted), common.output, columns=COLUMNS)
            return 0
        replay = await act(opened, RETRY, context, wanted, reason)
        warn(replay)
        if not detach:
            replay = await outcome(context, replay)
    emit(replay, common.output, columns=OUTCOME)
    return 1 if replay.failed else 0


async def replays(
    *,
    limit: Annotated[int, Parameter(help="At most how many.")] = 20,
    common: Common = DEFAULTS,
) -> None:
    """Replays and how far each is, the latest first."""
    from opsplane.events import deadletters

    columns = (*OUTCOME, "rate", "requestedBy", "createdAt", "finishedAt")
    async with session(common) as opened:
        found = await deadletters.replays(await opened.pool("operations"), limit=limit)
    emit(found, common.output, columns=columns)


async def watch(number: Number, *, common: Common = DEFAULTS) -> int:
    """Follow a replay to its end; exit code 1 when some fail again."""
    from opsplane.cli.acting import backbone
    from opsplane.events import deadletters

    async with session(common) as opened:
        context = await backbone(opened)
        replay = await outcome(context, await deadletters.replay(context.pool, number))
    emit(replay, common.output, columns=OUTCOME)
    return 1 if replay.failed else 0


async def cancel(
    number: Number, *, dry_run: DryRun = False, reason: Reason = None, common: Common = DEFAULTS
) -> None:
    """Stop a replay: what was not sent yet waits again."""
    from opsplane.cli.acting import act, backbone, foresee
    from opsplane.events.actions import CANCEL, CancelReplay

    async with session(common) as opened:
        context = await backbone(opened)
        if dry_run:
            await foresee(CANCEL, context, CancelReplay(replay=number))
            return
        replay = await act(opened, CANCEL, context, CancelReplay(replay=number), reason)
    emit(replay, common.output, columns=OUTCOME)


async def outcome(context: Backbone, replay: Replay) -> Replay:
    """The replay once every event has an outcome, shown meanwhile; one that is never sent is left to the events role."""
    from opsplane.cli.bar import Bar
    from opsplane.events import deadletters

    patience = time.monotonic() + PATIENCE
    before = replay
    with Bar(f"replay {replay.id}", replay.total) as bar:
        while replay.state == "running":
            bar.update(_progress(replay))
            await asyncio.sleep(0.1)
            replay = await deadletters.replay(context.pool, replay.id)
            if replay != before:
                before, patience = (
                    replay,
                    time.monotonic() + PATIENCE + (1 / replay.rate if replay.rate else 0),
                )
            elif time.monotonic() > patience:
                what = "was not sent: does the events role run?" if replay.unsent else "has no outcome yet."
                bar.line(f"Replay {replay.id} goes on when it can; some of it {what} See: opsplane status")
                break
        bar.update(_progress(replay))
    return replay


def warn(replay: Replay) -> None:
    """Tell when other groups will see some of it."""
    if replay.foreign_letters:
        note(
            f"! {replay.foreign_letters} came from foreign applications: all groups of their topic see them again."
        )


def _progress(replay: Replay) -> Mapping[str, Any]:
    return {
        "status": replay.state,
        "message": f"{replay.failed} failed again" if replay.failed else None,
        "processedRecords": replay.resolved + replay.failed + replay.withdrawn,
        "totalRecords": replay.total,
        "etaSeconds": replay.unsent / replay.rate if replay.rate else None,
    }

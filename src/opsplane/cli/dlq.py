from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts
from cyclopts import Parameter

from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session

if TYPE_CHECKING:
    from opsplane.events.backbone import Backbone
    from opsplane.events.deadletters import Replay, Selection

app = cyclopts.App(name="dlq", help="Work with dead letters.")

DEFAULTS = Common()
COLUMNS = ("id", "topic", "consumer_group", "reason", "message", "failures", "last_failed_at", "state")
PATIENCE = 5.0
State = Literal["waiting", "replaying", "resolved", "discarded", "open", "all"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Which:
    """Which dead letters are meant; all conditions given must hold."""

    topic: Annotated[str | None, Parameter(help="Their topic; * stands for anything.")] = None
    group: Annotated[str | None, Parameter(help="The consumer group that failed.")] = None
    fingerprint: Annotated[str | None, Parameter(help="Their cause, from `dlq groups`.")] = None
    error_class: Annotated[str | None, Parameter(name="--class", help="validation, internal, timeout, …")] = (
        None
    )
    text: Annotated[str | None, Parameter(help="Words in the error message.")] = None
    event: Annotated[str | None, Parameter(help="The id of the event itself.")] = None

    def selection(self, ids: Sequence[int] = (), *, everything: bool = False) -> Selection:
        """The selection these options describe."""
        from opsplane.events.deadletters import Selection

        return Selection(
            ids=tuple(ids), event_id=self.event, topic=self.topic, group=self.group, reason=self.error_class,
            fingerprint=self.fingerprint, text=self.text, everything=everything,
        )  # fmt: skip


ANY = Which()
Ids = Annotated[int, Parameter(help="Numbers of dead letters, from `dlq ls`.")]
All = Annotated[bool, Parameter(name="--all", negative="", help="Every one there is.")]
DryRun = Annotated[bool, Parameter(negative="", help="Only show how many and a sample.")]
Reason = Annotated[str | None, Parameter(help="Why; goes to the audit log.")]


@app.command(name="ls")
async def list_letters(
    *,
    which: Which = ANY,
    states: Annotated[State, Parameter(help="Open ones are waiting or being replayed.")] = "open",
    limit: Annotated[int, Parameter(help="At most how many.")] = 50,
    common: Common = DEFAULTS,
) -> None:
    """Dead letters, the latest failure first."""
    from opsplane.events import deadletters

    wanted = {"open": deadletters.OPEN, "all": deadletters.STATES}.get(states, (states,))
    async with session(common) as opened:
        pool = await opened.pool("operations")
        rows, total = await deadletters.page(pool, which.selection(), states=wanted, limit=limit)
    emit(rows, common.output, columns=COLUMNS)
    if total > len(rows):
        note(f"{len(rows)} of {total}; more with --limit.")


@app.command
async def groups(*, common: Common = DEFAULTS) -> None:
    """Open dead letters by what caused them, the most frequent first."""
    from opsplane.events import deadletters

    columns = ("fingerprint", "count", "last_hour", "hour_before", "reason", "message", "topics", "groups")
    async with session(common) as opened:
        emit(await deadletters.groups(await opened.pool("operations")), common.output, columns=columns)


@app.command
async def show(
    number: Annotated[int, Parameter(name="ID", help="The number of the dead letter.")],
    *,
    common: Common = DEFAULTS,
) -> None:
    """Everything about one dead letter: the event, the reason, every attempt, every violation."""
    from opsplane.events import deadletters

    async with session(common) as opened:
        emit(await deadletters.show(await opened.pool("operations"), number), common.output)


@app.command
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
        if not detach:
            replay = await _outcome(context, replay)
        emit(
            replay, common.output, columns=("id", "state", "total", "sent", "resolved", "failed", "withdrawn")
        )
    return 1 if replay.failed else 0


@app.command
async def discard(
    *ids: Ids,
    which: Which = ANY,
    everything: All = False,
    reason: Annotated[str, Parameter(help="Why they are given up; needed.")] = "",
    dry_run: DryRun = False,
    yes: Annotated[bool, Parameter(negative="", help="Needed for more than the numbers named.")] = False,
    common: Common = DEFAULTS,
) -> None:
    """Give up dead letters for a reason; they stay listed with --states discarded."""
    from opsplane.cli.acting import act, backbone, foresee
    from opsplane.errors import Conflict
    from opsplane.events.actions import DISCARD, DiscardLetters

    wanted = DiscardLetters(selection=which.selection(ids, everything=everything), because=reason)
    async with session(common) as opened:
        context = await backbone(opened)
        if dry_run or not (ids or yes):
            emit(await foresee(DISCARD, context, wanted), common.output, columns=COLUMNS)
        if dry_run:
            return
        if not (ids or yes):
            raise Conflict("Not confirmed; nothing was discarded.", remedy="Give --yes.")
        count = await act(opened, DISCARD, context, wanted, reason)
    note(f"✓ discarded {count}")


async def _outcome(context: Backbone, replay: Replay) -> Replay:
    """The replay once every event has an outcome; one that is never sent is left to the events role."""
    from opsplane.events import deadletters

    patience = time.monotonic() + PATIENCE
    before = replay
    while replay.state == "running":
        await asyncio.sleep(0.1)
        replay = await deadletters.replay(context.pool, replay.id)
        if replay != before:
            before, patience = replay, time.monotonic() + PATIENCE + (1 / replay.rate if replay.rate else 0)
        elif time.monotonic() > patience:
            what = "was not sent: does the events role run?" if replay.unsent else "has no outcome yet."
            note(f"Replay {replay.id} goes on when it can; some of it {what} See: opsplane status")
            break
    return replay

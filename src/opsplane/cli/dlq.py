from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts
from cyclopts import Parameter

from opsplane.cli.output import emit, note
from opsplane.cli.session import Common, session

if TYPE_CHECKING:
    from opsplane.events.deadletters import Selection

app = cyclopts.App(name="dlq", help="Work with dead letters.")
for _name, _place, _help in (
    ("retry", "dlq_replays:retry", "Replay dead letters to the group that failed and wait for the outcome."),
    ("replays", "dlq_replays:replays", "Replays and how far each is, the latest first."),
    ("watch", "dlq_replays:watch", "Follow a replay to its end."),
    ("cancel", "dlq_replays:cancel", "Stop a replay: what was not sent yet waits again."),
    ("edit", "dlq_edit:edit", "Change the event of a waiting dead letter; the original is kept beside it."),
    ("export", "dlq_transfer:export", "Dead letters as lines of JSON on standard output."),
    ("import", "dlq_transfer:import_letters", "Record exported dead letters, those that are not here yet."),
):
    app.command(f"opsplane.cli.{_place}", name=_name, help=_help)

DEFAULTS = Common()
COLUMNS = ("id", "topic", "consumer_group", "reason", "message", "failures", "last_failed_at", "state")
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
    error: Annotated[str | None, Parameter(help="The name of the error, for example KeyError.")] = None
    text: Annotated[
        str | None, Parameter(help="Words, or how they begin, in message, error, subject or event.")
    ] = None
    pointer: Annotated[str | None, Parameter(help="Where the schema is violated, for example /price.")] = None
    event: Annotated[str | None, Parameter(help="The id of the event itself.")] = None
    event_type: Annotated[str | None, Parameter(help="The type of the event.")] = None
    subject: Annotated[str | None, Parameter(help="What the event is about.")] = None
    since: Annotated[
        str | None, Parameter(help="Failed then or later: 2h (ago), 2026-01-31, or a time with zone.")
    ] = None
    until: Annotated[str | None, Parameter(help="Failed before that.")] = None

    def selection(self, ids: Sequence[int] = (), *, everything: bool = False) -> Selection:
        """The selection these options describe."""
        from opsplane.events.deadletters import Selection, moment

        now = datetime.now(UTC)
        return Selection(
            ids=tuple(ids), event_id=self.event, event_type=self.event_type, subject=self.subject, topic=self.topic,
            group=self.group, reason=self.error_class, error=self.error, fingerprint=self.fingerprint,
            text=self.text, pointer=self.pointer, since=moment(self.since, now) if self.since else None,
            until=moment(self.until, now) if self.until else None, everything=everything,
        )  # fmt: skip


ANY = Which()
Ids = Annotated[int, Parameter(help="Numbers of dead letters, from `dlq ls`.")]
All = Annotated[bool, Parameter(name="--all", negative="", help="Every one there is.")]
DryRun = Annotated[bool, Parameter(negative="", help="Only show how many and a sample.")]
Reason = Annotated[str | None, Parameter(help="Why; goes to the audit log.")]
States = Annotated[State, Parameter(help="Open ones are waiting or being replayed.")]
Unmasked = Annotated[
    bool, Parameter(negative="", help="With personal data; needs a reason and goes to the audit log.")
]


@app.command(name="ls")
async def list_letters(
    *,
    which: Which = ANY,
    states: States = "open",
    limit: Annotated[int, Parameter(help="At most how many.")] = 50,
    common: Common = DEFAULTS,
) -> None:
    """Dead letters, the latest failure first; personal data is masked."""
    from opsplane.cli.acting import backbone
    from opsplane.events import deadletters

    async with session(common) as opened:
        context = await backbone(opened)
        rows, total = await deadletters.page(
            context.pool,
            which.selection(),
            states=wanted_states(states),
            limit=limit,
            personal=context.personal,
        )
    emit(rows, common.output, columns=COLUMNS)
    if total > len(rows):
        note(f"{len(rows)} of {total}; more with --limit.")


@app.command
async def groups(*, which: Which = ANY, common: Common = DEFAULTS) -> None:
    """Open dead letters by what caused them, the most frequent first."""
    from opsplane.events import deadletters

    columns = ("fingerprint", "count", "last_hour", "hour_before", "reason", "message", "topics", "groups")
    async with session(common) as opened:
        pool = await opened.pool("operations")
        emit(await deadletters.groups(pool, which.selection()), common.output, columns=columns)


@app.command
async def alerts(*, common: Common = DEFAULTS) -> None:
    """Topics that have or had too many dead letters, and what became of the last message about each."""
    from opsplane.events.alerts import alerts as raised

    async with session(common) as opened:
        emit(await raised(await opened.pool("operations")), common.output)


@app.command
async def show(
    number: Annotated[int, Parameter(name="ID", help="The number of the dead letter.")],
    *,
    unmasked: Unmasked = False,
    reason: Reason = None,
    common: Common = DEFAULTS,
) -> None:
    """Everything about one dead letter: the event, the reason, every attempt, every violation, every edit."""
    from opsplane.cli.acting import act, backbone
    from opsplane.events import deadletters
    from opsplane.events.actions import READ_PERSONAL, ReadPersonal

    async with session(common) as opened:
        context = await backbone(opened)
        if unmasked:
            wanted = ReadPersonal(letter=number, because=reason or "")
            shown = await act(opened, READ_PERSONAL, context, wanted, reason)
        else:
            shown = await deadletters.show(context.pool, number, context.personal)
    if common.output != "table":
        emit(shown, common.output)
        return
    edits = shown.pop("edits")
    emit(shown)
    for edit in edits:
        note(f"\nedited {edit['at']:%Y-%m-%d %H:%M} by {edit['by']}: {edit['because']}")
        emit(edit["changes"], columns=("place", "before", "after"))


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


def wanted_states(states: State) -> tuple[str, ...]:
    """The states a choice means."""
    from opsplane.events import deadletters

    return {"open": deadletters.OPEN, "all": deadletters.STATES}.get(states, (states,))

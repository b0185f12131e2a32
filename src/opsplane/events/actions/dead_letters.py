"""What operators do to dead letters."""

from __future__ import annotations

import msgspec
from psycopg.types.json import Jsonb

from opsplane.action import Action, Preview
from opsplane.database import sql
from opsplane.errors import InvalidInput, NotFound
from opsplane.events import deadletters
from opsplane.events.backbone import ROLE, ROOM, Backbone
from opsplane.events.deadletters import Replay, Selection

SAMPLE = 5


class RetryLetters(msgspec.Struct, frozen=True, kw_only=True):
    """Replay the waiting dead letters selected, at most `rate` a second."""

    selection: Selection
    rate: float | None = None


class DiscardLetters(msgspec.Struct, frozen=True, kw_only=True):
    """Give up the open dead letters selected, for a reason."""

    selection: Selection
    because: str


class CancelReplay(msgspec.Struct, frozen=True, kw_only=True):
    """Stop a running replay."""

    replay: int


async def _preview_retry(backbone: Backbone, wanted: RetryLetters) -> Preview:
    return await _preview_letters(backbone, wanted.selection, ("waiting",), "Would be replayed")


async def _preview_discard(backbone: Backbone, wanted: DiscardLetters) -> Preview:
    return await _preview_letters(backbone, wanted.selection, deadletters.OPEN, "Would be discarded")


async def _preview_letters(
    backbone: Backbone, selection: Selection, states: tuple[str, ...], verb: str
) -> Preview:
    selection.require_some()
    rows, total = await deadletters.page(
        backbone.pool, selection, states=states, limit=SAMPLE, personal=backbone.personal
    )
    facts = {**selection.parameters(), "states": list(states)}
    row = await backbone.pool.fetch_one(sql(ROOM, "count_foreign"), facts)
    warning = warned(row["count"]) if row and states == ("waiting",) else ""
    return Preview(f"{verb}: {total} dead letters.{warning}", total, rows)


def warned(foreign: int) -> str:
    """What whoever replays dead letters of foreign applications must know."""
    if not foreign:
        return ""
    return f" {foreign} came from foreign applications: all groups of their topic see them again."


async def _retry(backbone: Backbone, wanted: RetryLetters) -> Replay:
    wanted.selection.require_some()
    if wanted.rate is not None and wanted.rate <= 0:
        raise InvalidInput(f"A rate of {wanted.rate:g} events a second is not possible.")
    async with backbone.pool.transaction() as tx:
        asked = Jsonb(msgspec.to_builtins(wanted.selection))
        row = await (
            await tx.execute(sql(ROOM, "insert_replay"), [asked, backbone.actor, wanted.rate])
        ).fetchone()
        assert row is not None
        facts = {**wanted.selection.parameters(), "replay": row["id"]}
        taken = await (await tx.execute(sql(ROOM, "take_for_replay"), facts)).fetchone()
        assert taken is not None
        if taken["total"] == 0:
            raise NotFound(
                "No waiting dead letter matches.", remedy="See what there is: opsplane dlq ls --states all"
            )
        await tx.execute(sql(ROOM, "set_replay_total"), [taken["total"], taken["foreign"], row["id"]])
    return await deadletters.replay(backbone.pool, row["id"])


async def _discard(backbone: Backbone, wanted: DiscardLetters) -> int:
    wanted.selection.require_some()
    if not wanted.because.strip():
        raise InvalidInput("Discarding needs a reason.", remedy='Give one: --reason "…"')
    facts = {**wanted.selection.parameters(), "by": backbone.actor, "because": wanted.because}
    rows = await backbone.pool.fetch(sql(ROOM, "discard_dead_letters"), facts)
    if not rows:
        raise NotFound("No open dead letter matches.", remedy="See what there is: opsplane dlq ls")
    return len(rows)


async def _preview_cancel(backbone: Backbone, wanted: CancelReplay) -> Preview:
    found = await deadletters.replay(backbone.pool, wanted.replay)
    return Preview(f"Would not be sent any more: {found.unsent} of {found.total} events.", found.unsent)


async def _cancel(backbone: Backbone, wanted: CancelReplay) -> Replay:
    await deadletters.replay(backbone.pool, wanted.replay)
    await backbone.pool.execute(sql(ROOM, "cancel_replay"), {"replay": wanted.replay})
    return await deadletters.replay(backbone.pool, wanted.replay)


RETRY = Action("dlq.retry", ROLE, "Replay dead letters.", RetryLetters, _preview_retry, _retry)
DISCARD = Action(
    "dlq.discard", ROLE, "Give up dead letters.", DiscardLetters, _preview_discard, _discard, dangerous=True
)
CANCEL = Action("dlq.cancel", ROLE, "Stop a replay.", CancelReplay, _preview_cancel, _cancel)

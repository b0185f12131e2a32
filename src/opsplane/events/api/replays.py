"""Replays of dead letters over HTTP. (Annotations are read at run time.)"""

from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.types import ControllerRouterHandler

from opsplane.errors import NotFound
from opsplane.events import actions, deadletters
from opsplane.events.api.acting import act
from opsplane.events.backbone import Backbone
from opsplane.events.deadletters import Selection
from opsplane.web import Caller


class ReplayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which waiting dead letters to replay, at most how many a second, and why; `dryRun` only counts them."""

    selection: Selection
    rate: float | None = None
    reason: str | None = None
    dry_run: bool = msgspec.field(name="dryRun", default=False)


def replay_handlers(backbone: Backbone) -> list[ControllerRouterHandler]:
    """The routes of replays."""

    @post("/retry", status_code=202, operation_id="retryDeadLetter")
    async def retry(
        event_id: FromQuery[str], identity: Caller, reason: FromQuery[str | None] = None
    ) -> dict[str, Any]:
        """Replay the dead letters of one event, named by its own id or by the dead letter's."""
        selection = await named(backbone, event_id)
        done = await act(backbone, actions.RETRY, actions.RetryLetters(selection=selection), identity, reason)
        return {"data": done}

    @post("/replays", status_code=202, operation_id="startReplay")
    async def start_replay(data: JSONBody[ReplayRequest], identity: Caller) -> dict[str, Any]:
        """Replay all waiting dead letters selected, or say what would be replayed."""
        wanted = actions.RetryLetters(selection=data.selection, rate=data.rate)
        if data.dry_run:
            preview = await actions.RETRY.preview(backbone, wanted)
            return {"data": {"summary": preview.summary, "count": preview.count, "sample": preview.sample}}
        return {"data": await act(backbone, actions.RETRY, wanted, identity, data.reason)}

    @get("/replays", operation_id="listReplays")
    async def list_replays() -> dict[str, Any]:
        """The latest replays."""
        return {"data": await deadletters.replays(backbone.pool)}

    @get("/replays/{number:int}", operation_id="getReplay")
    async def get_replay(number: FromPath[int]) -> dict[str, Any]:
        """A replay and how far it is."""
        return {"data": await deadletters.replay(backbone.pool, number)}

    @delete("/replays/{number:int}", status_code=200, operation_id="cancelReplay")
    async def cancel_replay(
        number: FromPath[int], identity: Caller, reason: FromQuery[str | None] = None
    ) -> dict[str, Any]:
        """Stop a replay; what was not sent waits again."""
        wanted = actions.CancelReplay(replay=number)
        return {"data": await act(backbone, actions.CANCEL, wanted, identity, reason)}

    return [retry, start_replay, list_replays, get_replay, cancel_replay]


async def named(backbone: Backbone, name: str, groups: Sequence[str] | None = None) -> Selection:
    """The waiting dead letters of an event id, else the dead letter of that number; in some groups only."""
    selection = Selection(event_id=name)
    _, total = await deadletters.page(backbone.pool, selection.within(groups), states=("waiting",), limit=1)
    if total:
        return selection
    if not name.isdecimal() or len(name) > 18:
        raise NotFound(f"No dead letter of the event {name} waits.")
    return Selection(ids=(int(name),))

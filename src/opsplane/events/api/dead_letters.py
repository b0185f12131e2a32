"""Dead letters over HTTP: counts, groups, lists, one in full, editing, giving up. (Annotations are read at run time.)"""

from collections.abc import Mapping
from typing import Any

from litestar import delete, get, patch
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.types import ControllerRouterHandler
from msgspec import UNSET, Struct, UnsetType

from opsplane.events import actions, deadletters
from opsplane.events import alerts as alerting
from opsplane.events.api.acting import act
from opsplane.events.api.selecting import Selected, States
from opsplane.events.backbone import Backbone
from opsplane.events.deadletters import Selection
from opsplane.web import Caller, Page, PageNumber, PageSize, paged


class EditRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The new `data`, values to `put` at places in it (JSON pointers), places to `cut`, or the whole `event`; and why.

    `force` keeps an edit that violates the schema, `retry` replays it at once.
    """

    reason: str
    data: Any | UnsetType = UNSET
    event: Any | UnsetType = UNSET
    put: dict[str, Any] = {}
    cut: tuple[str, ...] = ()
    force: bool = False
    retry: bool = False


def dead_letter_handlers(backbone: Backbone) -> list[ControllerRouterHandler]:
    """The routes of the dead letter queue."""
    pool = backbone.pool

    @get("/stats", operation_id="deadLetterStats")
    async def stats(selected: Selected) -> dict[str, Any]:
        """For each topic how many dead letters are open."""
        thresholds = backbone.file.current.alerts.thresholds
        return {"data": await deadletters.stats(pool, selected, thresholds)}

    @get("/groups", operation_id="deadLetterGroups")
    async def groups(selected: Selected) -> dict[str, Any]:
        """Open dead letters by what caused them."""
        return {"data": await deadletters.groups(pool, selected)}

    @get("/alerts", operation_id="deadLetterAlerts")
    async def alerts() -> dict[str, Any]:
        """Topics that have or had too many dead letters, and what became of the last message about each."""
        return {"data": await alerting.alerts(pool)}

    @get("/failed-events", operation_id="listDeadLetters")
    async def failed_events(
        selected: Selected,
        states: States,
        page: PageNumber = 1,
        page_size: PageSize = 50,
    ) -> dict[str, Any]:
        """One page of dead letters, the latest failure first; open ones unless `state` says otherwise."""
        return await listed(backbone, selected, states, Page(page, page_size))

    @get("/{letter:int}", operation_id="getDeadLetter")
    async def show(
        letter: FromPath[int],
        identity: Caller,
        unmasked: FromQuery[bool] = False,
        because: FromQuery[str | None] = None,
    ) -> dict[str, Any]:
        """Everything about one dead letter. With `unmasked` (role personal_data_reader, `because` says why) nothing is masked."""
        if unmasked:
            wanted = actions.ReadPersonal(letter=letter, because=because or "")
            return {"data": await act(backbone, actions.READ_PERSONAL, wanted, identity, because)}
        return {"data": await deadletters.show(pool, letter, backbone.personal)}

    @patch("/{letter:int}", operation_id="editDeadLetter")
    async def edit(letter: FromPath[int], data: JSONBody[EditRequest], identity: Caller) -> dict[str, Any]:
        """Change the event of a waiting dead letter; 400 lists every violation. The original is kept beside it."""
        wanted = actions.EditLetter(
            letter=letter, because=data.reason, data=data.data, event=data.event, put=data.put, cut=data.cut,
            force=data.force,
        )  # fmt: skip
        shown = await act(backbone, actions.EDIT, wanted, identity, data.reason)
        if not data.retry:
            return {"data": shown}
        again = actions.RetryLetters(selection=Selection(ids=(letter,)))
        replay = await act(backbone, actions.RETRY, again, identity, data.reason)
        return {"data": {**shown, "state": "replaying", "replay": replay}}

    @delete("/{letter:int}", status_code=200, operation_id="discardDeadLetter")
    async def discard(letter: FromPath[int], reason: FromQuery[str], identity: Caller) -> dict[str, Any]:
        """Give up one dead letter, for a reason."""
        wanted = actions.DiscardLetters(selection=Selection(ids=(letter,)), because=reason)
        return {"data": {"discarded": await act(backbone, actions.DISCARD, wanted, identity, reason)}}

    return [stats, groups, alerts, failed_events, show, edit, discard]


async def listed(
    backbone: Backbone, selection: Selection, states: tuple[str, ...], wanted: Page
) -> dict[str, Any]:
    """One page of dead letters as the API shows them."""
    rows, total = await deadletters.page(
        backbone.pool,
        selection,
        states=states,
        limit=wanted.size,
        offset=wanted.offset,
        personal=backbone.personal,
    )
    return paged([_failed_event(row) for row in rows], total, wanted)


def _failed_event(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
        "uid": row["uid"],
        "topic": row["topic"],
        "group": row["consumer_group"],
        "eventId": row["event_id"],
        "eventType": row["event_type"],
        "subject": row["subject"],
        "reason": row["reason"],
        "error": row["error"],
        "errorMessage": row["message"],
        "fingerprint": row["fingerprint"],
        "retryCount": max(0, row["attempts"] - 1),
        "failures": row["failures"],
        "firstFailedAt": row["first_failed_at"],
        "lastFailedAt": row["last_failed_at"],
        "state": row["state"],
        "replayId": row["replay_id"],
        "edited": row["edited"],
    }

"""Dead letters over HTTP: counts, groups, lists, one in full, giving up. (Annotations are read at run time.)"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from litestar import delete, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ControllerRouterHandler

from opsplane.events import actions, deadletters
from opsplane.events.api.acting import act
from opsplane.events.backbone import Backbone
from opsplane.events.deadletters import Selection
from opsplane.web import Caller, Page, paged

State = Literal["waiting", "replaying", "resolved", "discarded"]


def dead_letter_handlers(backbone: Backbone) -> list[ControllerRouterHandler]:
    """The routes of the dead letter queue."""
    pool = backbone.pool

    @get("/stats", operation_id="deadLetterStats")
    async def stats() -> dict[str, Any]:
        """For each topic how many dead letters are open."""
        return {"data": await deadletters.stats(pool)}

    @get("/groups", operation_id="deadLetterGroups")
    async def groups() -> dict[str, Any]:
        """Open dead letters by what caused them."""
        return {"data": await deadletters.groups(pool)}

    @get("/failed-events", operation_id="listDeadLetters")
    async def failed_events(
        topic: FromQuery[str | None] = None,
        group: FromQuery[str | None] = None,
        reason: FromQuery[str | None] = None,
        fingerprint: FromQuery[str | None] = None,
        text: FromQuery[str | None] = None,
        event_id: FromQuery[str | None] = None,
        in_state: Annotated[State | None, QueryParameter(name="state")] = None,
        page: FromQuery[int] = 1,
        page_size: Annotated[int, QueryParameter(name="pageSize")] = 50,
    ) -> dict[str, Any]:
        """One page of dead letters, the latest failure first; open ones unless `state` says otherwise."""
        wanted = Page(page, page_size)
        selection = Selection(
            topic=topic, group=group, reason=reason, fingerprint=fingerprint, text=text, event_id=event_id
        )
        states = (in_state,) if in_state else deadletters.OPEN
        rows, total = await deadletters.page(
            pool, selection, states=states, limit=wanted.size, offset=wanted.offset
        )
        return paged([_failed_event(row) for row in rows], total, wanted)

    @get("/{letter:int}", operation_id="getDeadLetter")
    async def show(letter: FromPath[int]) -> dict[str, Any]:
        """Everything about one dead letter."""
        return {"data": await deadletters.show(pool, letter)}

    @delete("/{letter:int}", status_code=200, operation_id="discardDeadLetter")
    async def discard(letter: FromPath[int], reason: FromQuery[str], identity: Caller) -> dict[str, Any]:
        """Give up one dead letter, for a reason."""
        wanted = actions.DiscardLetters(selection=Selection(ids=(letter,)), because=reason)
        return {"data": {"discarded": await act(backbone, actions.DISCARD, wanted, identity, reason)}}

    return [stats, groups, failed_events, show, discard]


def _failed_event(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["id"],
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
    }

"""Dead letters as a consuming service serves them: those of its own groups. (Annotations are read at run time.)"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from litestar import Router, get, post
from litestar.params import FromQuery

from opsplane.events import actions, deadletters
from opsplane.events.api.acting import STAFF, act
from opsplane.events.api.dead_letters import listed
from opsplane.events.api.replays import named
from opsplane.events.api.selecting import SELECTING, Selected, States
from opsplane.events.backbone import Backbone
from opsplane.web import Caller, Page, PageNumber, PageSize, requires


def own_dead_letter_router(groups: Sequence[str], opened: Callable[[], Awaitable[Backbone]]) -> Router:
    """`/api/v1/admin/dlq` of a service that consumes in `groups`; `opened` gives the backbone when it is first needed."""

    @get("/stats", operation_id="ownDeadLetterStats")
    async def stats(selected: Selected) -> dict[str, Any]:
        """For each topic how many of this service's dead letters are open."""
        backbone = await opened()
        thresholds = backbone.file.current.alerts.thresholds
        return {"data": await deadletters.stats(backbone.pool, selected.within(groups), thresholds)}

    @get("/failed-events", operation_id="listOwnDeadLetters")
    async def failed_events(
        selected: Selected,
        states: States,
        page: PageNumber = 1,
        page_size: PageSize = 50,
    ) -> dict[str, Any]:
        """One page of this service's dead letters, the latest failure first."""
        return await listed(await opened(), selected.within(groups), states, Page(page, page_size))

    @post("/retry", status_code=202, operation_id="retryOwnDeadLetter")
    async def retry(
        event_id: FromQuery[str], identity: Caller, reason: FromQuery[str | None] = None
    ) -> dict[str, Any]:
        """Replay this service's dead letters of one event, named by its own id or by the dead letter's."""
        backbone = await opened()
        wanted = actions.RetryLetters(selection=(await named(backbone, event_id, groups)).within(groups))
        return {"data": await act(backbone, actions.RETRY, wanted, identity, reason)}

    return Router(
        "/api/v1/admin/dlq",
        route_handlers=[stats, failed_events, retry],
        guards=[requires(*STAFF)],
        dependencies=SELECTING,
        tags=["dead letters"],
    )

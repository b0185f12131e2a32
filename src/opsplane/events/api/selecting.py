"""The selection of dead letters a query string describes. (Annotations are read at run time.)"""

from datetime import UTC, datetime
from typing import Annotated, Literal

from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery, QueryParameter

from opsplane.events.deadletters import OPEN, STATES, Selection, moment

State = Literal["waiting", "replaying", "resolved", "discarded", "open", "all"]


async def selection_of(
    topic: FromQuery[str | None] = None,
    group: FromQuery[str | None] = None,
    reason: FromQuery[str | None] = None,
    error: FromQuery[str | None] = None,
    fingerprint: FromQuery[str | None] = None,
    text: FromQuery[str | None] = None,
    pointer: FromQuery[str | None] = None,
    subject: FromQuery[str | None] = None,
    event_id: FromQuery[str | None] = None,
    event_type: Annotated[str | None, QueryParameter(name="eventType")] = None,
    since: FromQuery[str | None] = None,
    until: FromQuery[str | None] = None,
) -> Selection:
    """What all routes that list dead letters take alike; `since` and `until` are times, or `2h` for so long ago."""
    now = datetime.now(UTC)
    return Selection(
        topic=topic, group=group, reason=reason, error=error, fingerprint=fingerprint, text=text, pointer=pointer,
        subject=subject, event_id=event_id, event_type=event_type,
        since=moment(since, now) if since else None, until=moment(until, now) if until else None,
    )  # fmt: skip


async def states_of(in_state: Annotated[State, QueryParameter(name="state")] = "open") -> tuple[str, ...]:
    """The states meant: open ones unless `state` says otherwise."""
    return {"open": OPEN, "all": STATES}.get(in_state, (in_state,))


Selected = NamedDependency[Selection]
States = NamedDependency[tuple[str, ...]]
SELECTING = {"selected": Provide(selection_of), "states": Provide(states_of)}

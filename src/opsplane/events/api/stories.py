"""Events one by one over HTTP: the event as published, and its whole story. (Annotations are read at run time.)"""

from typing import Any

from litestar import get
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from opsplane.events.api.acting import STAFF
from opsplane.events.personal import Personal
from opsplane.events.story import Witnesses, find, tell
from opsplane.web import requires


def story_handlers(witnesses: Witnesses, personal: Personal) -> list[ControllerRouterHandler]:
    """The routes of one event; its id stands where `POST` has the topic."""

    @get("/{topic:str}", guards=[requires(*STAFF)], operation_id="getEvent")
    async def show(topic: FromPath[str]) -> dict[str, Any]:
        """The event with this id, personal data masked, and where copies of it stand."""
        return {"data": await find(witnesses, topic, personal)}

    @get("/{topic:str}/trace", guards=[requires(*STAFF)], operation_id="traceEvent")
    async def trace(topic: FromPath[str]) -> dict[str, Any]:
        """Everything that happened to the event with this id, in time order; `missing` says what could not be asked."""
        return {"data": await tell(witnesses, topic, personal)}

    return [show, trace]

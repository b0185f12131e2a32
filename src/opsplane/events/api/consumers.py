"""Consumer groups over HTTP. (Annotations are read at run time.)"""

from collections.abc import Mapping, Sequence
from typing import Any

from litestar import get, post
from litestar.params import FromPath, FromQuery
from litestar.types import ControllerRouterHandler

from opsplane.events import actions, inspect
from opsplane.events.api.acting import act
from opsplane.events.backbone import Backbone
from opsplane.events.ordered import parked_subjects
from opsplane.web import Caller


def consumer_handlers(
    backbone: Backbone, declared: Mapping[str, Sequence[str]]
) -> list[ControllerRouterHandler]:
    """The routes of consumer groups; `declared` are the declared ones with their topics."""

    @get("/consumers", operation_id="listConsumers")
    async def list_consumers() -> dict[str, Any]:
        """Every consumer group with its consumers."""
        return {"data": await inspect.list_groups(backbone.broker, backbone.pool, declared)}

    @get("/consumers/{group:str}/parked", operation_id="listParkedSubjects")
    async def parked(group: FromPath[str]) -> dict[str, Any]:
        """The parked subjects of an ordered group, the longest parked first."""
        return {"data": await parked_subjects(backbone.broker, group, backbone.pool)}

    @post(
        "/consumers/{group:str}/pause",
        status_code=200,
        operation_id="pauseConsumer",
    )
    async def pause(
        group: FromPath[str], identity: Caller, reason: FromQuery[str | None] = None
    ) -> dict[str, Any]:
        """Stop a group from reading; the answer lists all paused groups."""
        wanted = actions.GroupName(group=group, because=reason)
        return {"data": {"paused": await act(backbone, actions.PAUSE, wanted, identity, reason)}}

    @post(
        "/consumers/{group:str}/resume",
        status_code=200,
        operation_id="resumeConsumer",
    )
    async def resume(
        group: FromPath[str], identity: Caller, reason: FromQuery[str | None] = None
    ) -> dict[str, Any]:
        """Let a paused group read; the answer lists the groups that are still paused."""
        wanted = actions.GroupName(group=group, because=reason)
        return {"data": {"paused": await act(backbone, actions.RESUME, wanted, identity, reason)}}

    return [list_consumers, parked, pause, resume]

"""Positions over HTTP: lag, seek, reset, forget, trim. (Annotations are read at run time.)"""

from typing import Any

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody
from litestar.types import ControllerRouterHandler

from opsplane.action import Action
from opsplane.errors import InvalidInput
from opsplane.events import actions, inspect
from opsplane.events.api.acting import act
from opsplane.events.backbone import Backbone
from opsplane.events.lag import lags
from opsplane.events.standing import standing
from opsplane.web import Caller, Identity

LONGEST_WATCH = 10.0


class SeekRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to (`beginning`, `end`, an entry's id, a time), on which topics, whether to do again what was done."""

    to: str = "beginning"
    topics: tuple[str, ...] = ()
    again: bool | None = None
    reason: str | None = None
    dry_run: bool = msgspec.field(name="dryRun", default=False)


class TrimRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which topics to trim; all when none is named."""

    topics: tuple[str, ...] = ()
    reason: str | None = None
    dry_run: bool = msgspec.field(name="dryRun", default=False)


def position_handlers(backbone: Backbone) -> list[ControllerRouterHandler]:
    """The routes of positions."""

    async def done(
        action: Action[Backbone, Any, Any],
        wanted: Any,
        identity: Identity,
        request: SeekRequest | TrimRequest,
    ) -> dict[str, Any]:
        if request.dry_run:
            preview = await action.preview(backbone, wanted)
            return {"data": {"summary": preview.summary, "count": preview.count, "sample": preview.sample}}
        return {"data": await act(backbone, action, wanted, identity, request.reason)}

    @get("/topics/{topic:str}", operation_id="getTopic")
    async def get_topic(topic: FromPath[str]) -> dict[str, Any]:
        """One topic with its groups, what events.yaml wants of it, and whether it is full."""
        [found] = await inspect.list_topics(backbone.broker, [topic])
        policy = backbone.file.current.policy(topic)
        return {"data": {"topic": found, "standing": await standing(backbone.broker, topic, policy)}}

    @get("/consumers/{group:str}/lag", operation_id="getLag")
    async def get_lag(group: FromPath[str], watch: FromQuery[float] = 1.0) -> dict[str, Any]:
        """How far the group is behind on each topic, watched for some seconds to tell the trend."""
        if not 0 <= watch <= LONGEST_WATCH:
            raise InvalidInput(f"watch is {watch:g}.", remedy=f"Watch for 0 to {LONGEST_WATCH:g} seconds.")
        return {"data": await lags(backbone.broker, [group], watch=watch)}

    @post("/consumers/{group:str}/seek", status_code=200, operation_id="seekConsumer")
    async def seek(group: FromPath[str], data: JSONBody[SeekRequest], identity: Caller) -> dict[str, Any]:
        """Move the group's position, or say what that would do; 400 asks for `again` when events would be seen again."""
        wanted = actions.SeekGroup(group=group, topics=data.topics, to=data.to, again=data.again)
        return await done(actions.SEEK, wanted, identity, data)

    @post("/consumers/{group:str}/reset", status_code=200, operation_id="resetConsumer")
    async def reset(group: FromPath[str], data: JSONBody[SeekRequest], identity: Caller) -> dict[str, Any]:
        """Give the group everything from the beginning, or say what that would do."""
        wanted = actions.ResetGroup(group=group, topics=data.topics, again=data.again)
        return await done(actions.RESET, wanted, identity, data)

    @delete("/consumers/{group:str}", status_code=200, operation_id="forgetConsumer")
    async def forget(
        group: FromPath[str], identity: Caller, reason: FromQuery[str | None] = None
    ) -> dict[str, Any]:
        """Strike a group that nobody reads for off its topics; the answer lists them."""
        return {
            "data": await act(backbone, actions.FORGET, actions.ForgetGroup(group=group), identity, reason)
        }

    @post("/topics/trim", status_code=200, operation_id="trimTopics")
    async def trim(data: JSONBody[TrimRequest], identity: Caller) -> dict[str, Any]:
        """Trim topics as events.yaml says, or say what that would cut."""
        return await done(actions.TRIM, actions.TrimTopics(topics=data.topics), identity, data)

    return [get_topic, get_lag, seek, reset, forget, trim]

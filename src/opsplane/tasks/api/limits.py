"""`/api/v1/operations/limits` and the settings of queues, for staff. (Annotations are read at run time.)"""

from typing import Annotated, Any, Literal

import msgspec
from litestar import delete, get, put
from litestar.params import FromPath, JSONBody, PathParameter

from opsplane.action import Action
from opsplane.tasks.actions import STAFF
from opsplane.tasks.api.desk import TaskDesk
from opsplane.tasks.api.parameters import Desk, Name, Reason
from opsplane.tasks.api.requests import PutLimit, PutQueue
from opsplane.tasks.api.staff_views import LimitView, QueueView
from opsplane.tasks.limits import actions
from opsplane.web import Caller, Identity, requires

Kind = FromPath[Literal["queue", "type", "tenant"]]
Limited = Annotated[str, PathParameter(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9._-]{0,99})$")]
GUARDS = [requires(STAFF)]


@get("/limits", operation_id="listLimits", guards=GUARDS)
async def list_limits(desk: Desk) -> dict[str, list[LimitView]]:
    """Every limit, with what is taken of it and what waits behind it."""
    return {"data": msgspec.convert(await desk.limits.all(), list[LimitView], from_attributes=True)}


@put("/limits/{kind:str}/{name:str}", operation_id="putLimit", guards=GUARDS)
async def put_limit(
    desk: Desk, identity: Caller, kind: Kind, name: Limited, data: JSONBody[PutLimit], reason: Reason = None
) -> LimitView:
    """Set the limit of a queue, a type or a tenant (`*`: each by itself), or change it to exactly this."""
    found = await _act(desk, actions.put, data.new_limit(kind, name), identity, reason)
    return msgspec.convert(found, LimitView, from_attributes=True)


@delete("/limits/{kind:str}/{name:str}", operation_id="deleteLimit", guards=GUARDS)
async def delete_limit(
    desk: Desk, identity: Caller, kind: Kind, name: Limited, reason: Reason = None
) -> None:
    """Lift a limit; what waits behind it is let go."""
    await _act(desk, actions.delete, actions.LimitTarget(kind, name, reason), identity, reason)


@put("/queues/{name:str}", operation_id="putQueue", guards=GUARDS)
async def put_queue(
    desk: Desk, identity: Caller, name: Name, data: JSONBody[PutQueue], reason: Reason = None
) -> QueueView | None:
    """Set a queue's weight, and whether its tenants take turns."""
    settings = actions.QueueSettings(name, data.weight, data.fair)
    found = await _act(desk, actions.set_queue, settings, identity, reason)
    return msgspec.convert(found, QueueView | None, from_attributes=True)


async def _act(
    desk: TaskDesk,
    action: Action[actions.LimitHand, Any, Any],
    target: Any,
    identity: Identity,
    reason: str | None,
) -> Any:
    hand = actions.LimitHand(desk.limits, desk.store, identity.sub)
    return await desk.perform(action, hand, target, identity, reason)

"""`/api/v1/operations/queues` and `/workers`, for staff. (Annotations are read at run time.)"""

import msgspec
from litestar import get, post

from opsplane.tasks import actions
from opsplane.tasks.actions import STAFF
from opsplane.tasks.api.parameters import Desk, Name, Reason
from opsplane.tasks.api.staff_views import DrainView, QueueView, WorkerView
from opsplane.tasks.store import QueueState
from opsplane.web import Caller, requires

GUARDS = [requires(STAFF)]


@get("/queues", operation_id="listQueues", guards=GUARDS)
async def list_queues(desk: Desk) -> dict[str, list[QueueView]]:
    """Every queue that has settings or unfinished tasks."""
    return {"data": msgspec.convert(await desk.store.queues(), list[QueueView], from_attributes=True)}


@post("/queues/{name:str}/pause", operation_id="pauseQueue", status_code=200, guards=GUARDS)
async def pause_queue(desk: Desk, identity: Caller, name: Name, reason: Reason = None) -> QueueView | None:
    """Stop claims from a queue; tasks that run go on."""
    return _view(await desk.act(actions.pause, actions.QueueTarget(name, reason), identity, reason))


@post("/queues/{name:str}/drain", operation_id="drainQueue", status_code=200, guards=GUARDS)
async def drain_queue(desk: Desk, identity: Caller, name: Name, reason: Reason = None) -> DrainView:
    """Have a queue take no new tasks (409 `QueueDraining`); those it holds are run to the end, their children as well."""
    queue, closed = await desk.act(actions.drain, actions.QueueTarget(name, reason), identity, reason)
    facts = {field: getattr(queue, field) for field in QueueView.__struct_fields__}
    return DrainView(**facts, closed=closed)


@post("/queues/{name:str}/resume", operation_id="resumeQueue", status_code=200, guards=GUARDS)
async def resume_queue(desk: Desk, identity: Caller, name: Name, reason: Reason = None) -> QueueView | None:
    """Let tasks of a queue be claimed, and new ones be created in it, again."""
    return _view(await desk.act(actions.resume, actions.QueueTarget(name, reason), identity, reason))


@get("/workers", operation_id="listWorkers", guards=GUARDS)
async def list_workers(desk: Desk) -> dict[str, list[WorkerView]]:
    """The workers, and those that went within the last hour."""
    return {"data": msgspec.convert(await desk.store.workers(), list[WorkerView], from_attributes=True)}


def _view(queue: QueueState | None) -> QueueView | None:
    return msgspec.convert(queue, QueueView, from_attributes=True) if queue else None

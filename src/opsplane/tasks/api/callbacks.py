"""`/api/v1/operations/tasks/{id}/callback`. (Annotations are read at run time.)"""

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from opsplane.tasks.api.desk import TaskDesk
from opsplane.tasks.api.views import CallbackView
from opsplane.tasks.callbacks import Callback, CallbackBook, actions
from opsplane.web import Caller

Desk = NamedDependency[TaskDesk]
Id = FromPath[str]


@get("/tasks/{task_id:str}/callback", operation_id="getTaskCallback")
async def get_callback(desk: Desk, identity: Caller, task_id: Id) -> CallbackView:
    """Whether the task's end was told to its `callbackUrl`, and what the receiver said; 404 without one."""
    task = await desk.visible(task_id, identity)
    return _view(await CallbackBook(desk.store.pool).of(task))


@post("/tasks/{task_id:str}/callback/retry", operation_id="retryTaskCallback", status_code=200)
async def retry_callback(
    desk: Desk, identity: Caller, task_id: Id, reason: FromQuery[str | None] = None
) -> CallbackView:
    """Tell it now, with all tries before it again and the same `webhook-id`, whatever became of it; 404 while there is nothing to tell."""
    return _view(await desk.own(actions.retry, task_id, identity, reason))


def _view(callback: Callback) -> CallbackView:
    return msgspec.convert(callback, CallbackView, from_attributes=True)

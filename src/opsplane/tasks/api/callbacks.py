"""`/api/v1/operations/tasks/{id}/callback`. (Annotations are read at run time.)"""

import msgspec
from litestar import get, post

from opsplane.tasks.api.parameters import Desk, Id, Reason
from opsplane.tasks.api.views import CallbackView
from opsplane.tasks.callbacks import Callback, CallbackBook, actions
from opsplane.web import Caller


@get("/tasks/{task_id:str}/callback", operation_id="getTaskCallback")
async def get_callback(desk: Desk, identity: Caller, task_id: Id) -> CallbackView:
    """Whether the task's end was told to its `callbackUrl`, and what the receiver said; 404 without one."""
    task = await desk.visible(task_id, identity)
    return _view(await CallbackBook(desk.store.pool).of(task))


@post("/tasks/{task_id:str}/callback/retry", operation_id="retryTaskCallback", status_code=200)
async def retry_callback(desk: Desk, identity: Caller, task_id: Id, reason: Reason = None) -> CallbackView:
    """Tell it now, with all tries before it again and the same `webhook-id`, whatever became of it; 404 while there is nothing to tell."""
    return _view(await desk.act_as_owner(actions.retry, task_id, identity, reason))


def _view(callback: Callback) -> CallbackView:
    return msgspec.convert(callback, CallbackView, from_attributes=True)

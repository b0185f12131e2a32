"""`/api/v1/operations/tasks/bulk`, for staff. (Annotations are read at run time.)"""

from typing import Any

from litestar import Response, post
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody

from opsplane.tasks.actions import STAFF
from opsplane.tasks.api.desk import TaskDesk
from opsplane.tasks.api.parameters import Desk, Reason
from opsplane.tasks.api.requests import BulkRequest
from opsplane.tasks.api.staff_views import BulkPreview
from opsplane.tasks.api.views import BASE, TaskView, task_view
from opsplane.tasks.bulk_actions import BulkAction
from opsplane.tasks.bulk_actions.actions import bulk_action
from opsplane.web import Caller, Identity, requires

GUARDS = [requires(STAFF)]
STARTED = {202: ResponseSpec(TaskView, description="The task that does it.")}


@post(
    "/tasks/bulk/cancel",
    operation_id="cancelTasks",
    status_code=200,
    guards=GUARDS,
    responses=STARTED,
)
async def cancel_tasks(
    desk: Desk, identity: Caller, data: JSONBody[BulkRequest], reason: Reason = None
) -> Response[BulkPreview]:
    """Cancel every task that matches; unless `dryRun` is false, only tell how many those are, with a sample.

    Otherwise 202 with a task that does it in batches: follow it like any other, its `result` counts what became of each.
    """
    return await _answer(desk, identity, "cancel", data, reason)


@post(
    "/tasks/bulk/retry",
    operation_id="retryTasks",
    status_code=200,
    guards=GUARDS,
    responses=STARTED,
)
async def retry_tasks(
    desk: Desk, identity: Caller, data: JSONBody[BulkRequest], reason: Reason = None
) -> Response[BulkPreview]:
    """Run every failed task that matches again; as with cancelling, first a preview, then a task that does it."""
    return await _answer(desk, identity, "retry", data, reason)


async def _answer(
    desk: TaskDesk, identity: Identity, action: BulkAction, data: BulkRequest, reason: str | None
) -> Response[Any]:
    wanted = data.filter.filter(identity)
    asked = await desk.bulk.ask(action, wanted, identity.sub, everything=data.all)
    now = desk.clock.now()
    if data.dry_run:
        sample = [task_view(task, now) for task in await desk.bulk.sample(asked)]
        preview = BulkPreview(action=action, dry_run=True, matched=asked.matched, sample=sample)
        return Response(preview, status_code=200)
    task = await desk.perform(bulk_action(action), desk.bulk, asked, identity, reason)
    return Response(task_view(task, now), status_code=202, headers={"Location": f"{BASE}/tasks/{task.id}"})

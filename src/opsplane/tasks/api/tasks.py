"""`/api/v1/operations/tasks`. (Annotations are read at run time.)"""

from typing import Annotated, Any, Literal

import msgspec
from litestar import delete, get, post
from litestar.params import FromQuery, HeaderParameter, JSONBody, QueryParameter
from litestar.response import Stream

from opsplane.errors import InvalidInput
from opsplane.tasks import actions
from opsplane.tasks.api.parameters import Desk, Id, Reason
from opsplane.tasks.api.requests import CorrectedRows, CreateTask, ListQuery, cursor_of
from opsplane.tasks.api.stream import follow
from opsplane.tasks.api.views import (
    CauseView,
    CreatedTask,
    Download,
    EventView,
    LogView,
    StepsView,
    TaskView,
    task_view,
)
from opsplane.tasks.explain import explain
from opsplane.web import Caller, Page, PageNumber, PageSize, event_stream, paged

Key = Annotated[str | None, HeaderParameter(name="Idempotency-Key")]
LONGEST_KEY = 200
LAST_LINE = 2**63 - 1


def _named(name: str) -> Any:
    return QueryParameter(name=name)


@post("/tasks", operation_id="createTask")
async def create_task(
    desk: Desk,
    identity: Caller,
    data: JSONBody[CreateTask],
    key: Key = None,
) -> CreatedTask:
    """Create a task; with `fileName` the answer says where to PUT the file.

    The same `Idempotency-Key` with the same body answers with the same task, with another body 409.
    """
    return await desk.create(data, identity, _checked(key))


def _checked(key: str | None) -> str | None:
    if key is not None and not 1 <= len(key) <= LONGEST_KEY:
        raise InvalidInput(f"Idempotency-Key must have 1 to {LONGEST_KEY} characters.")
    return key


@get("/tasks", operation_id="listTasks")
async def list_tasks(
    desk: Desk,
    identity: Caller,
    task_type: Annotated[str | None, _named("taskType")] = None,
    entity_type: Annotated[str | None, _named("entityType")] = None,
    status: FromQuery[str | None] = None,
    queue: FromQuery[str | None] = None,
    tenant: FromQuery[str | None] = None,
    requested_by: Annotated[str | None, _named("requestedBy")] = None,
    parent_id: Annotated[str | None, _named("parentId")] = None,
    start_date: Annotated[str | None, _named("startDate")] = None,
    end_date: Annotated[str | None, _named("endDate")] = None,
    search: FromQuery[str | None] = None,
    page: PageNumber = 1,
    page_size: PageSize = 50,
    cursor: FromQuery[str | None] = None,
) -> dict[str, Any]:
    """Tasks, newest first: the caller's own, those of its tenant for a member, or everybody's for staff.

    `status=running` means `processing`.
    """
    query = ListQuery(
        task_type=task_type,
        entity_type=entity_type,
        status=status,
        queue=queue,
        tenant=tenant,
        requested_by=requested_by,
        parent_id=parent_id,
        start_date=start_date,
        end_date=end_date,
        search=search,
    )
    wanted, after = Page(page, page_size), cursor_of(cursor)
    offset = 0 if after else wanted.offset
    found = await desk.seen_by(identity).search(
        query.filter(identity), limit=wanted.size, offset=offset, cursor=after
    )
    items = [task_view(task, desk.clock.now()) for task in found.items]
    more = {"totalIsExact": found.total_is_exact, "nextCursor": found.next_cursor}
    return {**paged(items, found.total, wanted), **more}


@get("/tasks/{task_id:str}", operation_id="getTask")
async def get_task(desk: Desk, identity: Caller, task_id: Id) -> TaskView:
    """One task."""
    return task_view(await desk.visible(task_id, identity), desk.clock.now())


@delete("/tasks/{task_id:str}", operation_id="deleteTask")
async def delete_task(desk: Desk, identity: Caller, task_id: Id) -> None:
    """Remove a finished task with its files; 409 while it is not finished."""
    await desk.delete(task_id, identity)


@post("/tasks/{task_id:str}/uploaded", operation_id="taskUploaded", status_code=200)
async def uploaded(desk: Desk, identity: Caller, task_id: Id) -> TaskView:
    """Say that the file was uploaded; 400 when it is not there, or not the announced one."""
    return await desk.uploaded(task_id, identity)


@post("/tasks/{task_id:str}/cancel", operation_id="cancelTask", status_code=200)
async def cancel_task(desk: Desk, identity: Caller, task_id: Id, reason: Reason = None) -> TaskView:
    """Cancel a task; a running one is asked to stop, which a status of `processing` with `cancelRequestedAt` shows."""
    return await desk.act_on(actions.cancel, task_id, identity, reason)


@post("/tasks/{task_id:str}/retry", operation_id="retryTask", status_code=200)
async def retry_task(desk: Desk, identity: Caller, task_id: Id, reason: Reason = None) -> TaskView:
    """Run a failed task again; 409 when it is not failed."""
    return await desk.act_on(actions.retry, task_id, identity, reason)


@post("/tasks/{task_id:str}/retry-failed-rows", operation_id="retryFailedRows")
async def retry_failed_rows(
    desk: Desk, identity: Caller, task_id: Id, data: JSONBody[CorrectedRows], key: Key = None
) -> CreatedTask:
    """Import the corrected error file of an import with the policy `skip`: a child task like it, which waits for the file.

    409 when the import is not finished, refused no rows, or applied none.
    """
    return await desk.correct(task_id, data, identity, _checked(key))


@get("/tasks/{task_id:str}/download", operation_id="downloadTaskFile")
async def download(
    desk: Desk,
    identity: Caller,
    task_id: Id,
    file: FromQuery[Literal["result", "errors", "input"]] = "result",
) -> Download:
    """A URL for one of the task's files that needs no token, and when it expires."""
    return await desk.download(await desk.visible(task_id, identity), file)


@get("/tasks/{task_id:str}/logs", operation_id="taskLogs")
async def logs(
    desk: Desk, identity: Caller, task_id: Id, after: FromQuery[int] = 0, limit: FromQuery[int] = 500
) -> dict[str, list[LogView]]:
    """Log lines with a higher number than `after`, oldest first."""
    task = await desk.visible(task_id, identity)
    first = min(max(0, after), LAST_LINE)
    lines = await desk.seen_by(identity).logs(task.id, after=first, limit=min(max(1, limit), 1000))
    return {"data": msgspec.convert(lines, list[LogView], from_attributes=True)}


@get("/tasks/{task_id:str}/events", operation_id="taskEvents")
async def events(desk: Desk, identity: Caller, task_id: Id) -> dict[str, list[EventView]]:
    """What happened to the task, oldest first."""
    task = await desk.visible(task_id, identity)
    return {
        "data": msgspec.convert(
            await desk.seen_by(identity).events(task.id), list[EventView], from_attributes=True
        )
    }


@get("/tasks/{task_id:str}/steps", operation_id="taskSteps")
async def steps(desk: Desk, identity: Caller, task_id: Id) -> StepsView:
    """The task's finished steps, which a restarted attempt does not run again, and its fan-outs with their counts."""
    task = await desk.visible(task_id, identity)
    found = {
        "data": await desk.seen_by(identity).steps(task.id),
        "fanOuts": await desk.seen_by(identity).fan_outs(task.id),
    }
    return msgspec.convert(found, StepsView, from_attributes=True)


@get("/tasks/{task_id:str}/explain", operation_id="explainTask")
async def explain_task(desk: Desk, identity: Caller, task_id: Id) -> dict[str, list[CauseView]]:
    """Why the task waits: every cause that holds, in the order in which they would have to go away."""
    task = await desk.visible(task_id, identity)
    found = await explain(desk.store.pool, task.id)
    return {"data": msgspec.convert(found, list[CauseView], from_attributes=True)}


@get("/tasks/{task_id:str}/stream", operation_id="streamTask", media_type="text/event-stream")
async def stream(desk: Desk, identity: Caller, task_id: Id) -> Stream:
    """Server-sent events: `snapshot`, then `progress`, `log` and `status` until the task is finished.

    Read it with `fetch` and the bearer token; a reconnect starts from a new snapshot.
    """
    task = await desk.visible(task_id, identity)
    return event_stream(follow(task.id, desk.store, desk.live, desk.clock))

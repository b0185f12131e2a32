"""The worker protocol over HTTP, for handlers in any language. (Annotations are read at run time.)"""

from litestar import patch, post
from litestar.params import JSONBody

from opsplane.tasks.api.parameters import Desk, Id
from opsplane.tasks.api.remote_messages import (
    ClaimBody,
    ClaimsView,
    CompleteBody,
    EndView,
    FailBody,
    HeardView,
    HeartbeatBody,
    LeaveBody,
    LeftView,
    ProgressBody,
    PulseView,
    TaskProgressBody,
    claim_view,
    result_key,
)
from opsplane.tasks.api.views import ProgressView, progress_view
from opsplane.tasks.outcome import FINAL, Outcome
from opsplane.tasks.states import STATUS_OF, Status
from opsplane.tasks.uploads import UploadMissing
from opsplane.web import Caller, JsonRequest, problems, requires

WORKER = "task_worker"
GUARDS = [requires(WORKER)]
UNKNOWN = problems(404)


@post("/worker/claim", operation_id="claimTasks", status_code=200, guards=GUARDS)
async def claim(desk: Desk, identity: Caller, request: JsonRequest, data: JSONBody[ClaimBody]) -> ClaimsView:
    """Tasks of remote types, now the worker's: at once or as soon as there is one, none after `waitSeconds`."""
    dealt = await desk.remote.claim(identity.sub, data.ask(), request.left)
    return ClaimsView(
        worker_id=dealt.lease.number,
        lease_until=dealt.lease.until,
        lease_seconds=dealt.lease.seconds,
        claims=[await claim_view(one, desk.objects) for one in dealt.claims],
    )


@post("/worker/heartbeat", operation_id="workerHeartbeat", status_code=200, guards=GUARDS)
async def heartbeat(desk: Desk, identity: Caller, data: JSONBody[HeartbeatBody]) -> PulseView:
    """Renew the lease; which tokens are still held, asked to stop, lost. 409 when the lease has ended."""
    pulse = await desk.remote.heartbeat(identity.sub, data.worker_id, data.tokens, stopping=data.stopping)
    return PulseView(lease_until=pulse.lease.until, held=pulse.held, cancel=pulse.cancel, lost=pulse.lost)


@post("/worker/progress", operation_id="workerProgress", status_code=200, guards=GUARDS, responses=UNKNOWN)
async def progress(desk: Desk, identity: Caller, data: JSONBody[ProgressBody]) -> HeardView:
    """Tell how far the attempt is, and add to the task's log. 409 when the claim is no longer held."""
    lines = [line.line() for line in data.logs]
    task = await desk.remote.progress(identity.sub, data.id, data.token, data.told(), lines)
    return HeardView(cancel=task.cancel_requested_at is not None)


@post("/worker/complete", operation_id="completeTask", status_code=200, guards=GUARDS, responses=UNKNOWN)
async def complete(desk: Desk, identity: Caller, data: JSONBody[CompleteBody]) -> EndView:
    """End the attempt: its work is done. 409 when the claim is no longer held, also when it was completed before."""
    file = None
    if data.result_file is not None:
        task = await desk.store.get(data.id)
        file = data.result_file.file(result_key(task.tenant, task.id, data.token))
        if await desk.objects.head(file.key) is None:
            raise UploadMissing(
                f"The result file of task {task.id} is not there.", remedy="PUT it to resultUploadUrl first."
            )
    done = await desk.remote.complete(identity.sub, data.id, data.token, data.told(), data.result, file)
    return _ended(done)


@post("/worker/fail", operation_id="failTask", status_code=200, guards=GUARDS, responses=UNKNOWN)
async def fail(desk: Desk, identity: Caller, data: JSONBody[FailBody]) -> EndView:
    """End the attempt: it failed. The task is tried again as its type says; one that was asked to stop is cancelled."""
    return _ended(await desk.remote.fail(identity.sub, data.id, data.token, data.failure()))


@post("/worker/leave", operation_id="workerLeaves", status_code=200, guards=GUARDS)
async def leave(desk: Desk, identity: Caller, data: JSONBody[LeaveBody]) -> LeftView:
    """End the worker's registration; what it still holds is run by others at once."""
    return LeftView(handed_back=await desk.remote.leave(identity.sub, data.worker_id))


@patch("/tasks/{task_id:str}/progress", operation_id="tellProgress", guards=GUARDS)
async def tell_progress(
    desk: Desk, identity: Caller, task_id: Id, data: JSONBody[TaskProgressBody]
) -> ProgressView:
    """Tell how far a task of a worker of the caller's is; with `token` only for the attempt of that claim."""
    task = await desk.remote.progress(identity.sub, task_id, data.token, data.told())
    return progress_view(task, desk.clock.now())


def _ended(outcome: Outcome) -> EndView:
    final = FINAL.get(outcome.ending)
    status = STATUS_OF[final] if final is not None else Status.PENDING
    again = outcome.pause if final is None else None
    return EndView(id=outcome.attempted.id, status=str(status), again_in_seconds=again)

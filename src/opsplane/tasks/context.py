"""What a handler is given: its task, its service's database and objects, progress, logs, cancelling."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

import msgspec

from opsplane.clock import SYSTEM, Clock
from opsplane.database import Connection, Pool
from opsplane.files import ObjectStore
from opsplane.tasks.errors import Cancelled, WaitsForChildren
from opsplane.tasks.fan_out import FanOut, Spreading
from opsplane.tasks.operations import Work
from opsplane.tasks.steps import Steps
from opsplane.tasks.task import NewTask

T = TypeVar("T")


class TaskRuntime(Protocol):
    """What the handlers of one service run with; `opsplane.service.Runtime` is one."""

    @property
    def pool(self) -> Pool:
        """The pool of the service's own database."""
        ...

    @property
    def clock(self) -> Clock:
        """The time."""
        ...

    @property
    def objects(self) -> ObjectStore | None:
        """Where files live."""
        ...


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at a task, as a worker got it; `token` fences everything it writes back."""

    id: str
    task_type: str
    token: int
    attempt: int
    retry_count: int
    max_retries: int
    params: str
    queue: str
    prio: int
    emit: int
    tenant: str
    timeout: float
    worker: int
    created_at: datetime
    claimed_at: datetime
    run_at: datetime
    due_at: datetime
    entity_type: str | None = None
    requested_by: str | None = None
    file_name: str | None = None
    input_key: str | None = None
    traceparent: str | None = None
    parent_id: str | None = None
    received: float = msgspec.field(default_factory=time.monotonic)  # by the worker


class LogLine(msgspec.Struct, frozen=True):
    """A line a handler logged."""

    level: str
    message: str
    fields: dict[str, Any]
    at: datetime


class Reports(Protocol):
    """Where a context's progress and log lines go; both calls are free, writing happens later."""

    def progressed(self, context: TaskContext) -> None:
        """The context's counts changed."""
        ...

    def logged(self, context: TaskContext, line: LogLine) -> None:
        """The handler logged a line."""
        ...

    def ended(self, context: TaskContext) -> None:
        """The attempt ended; its last counts go with its outcome."""
        ...

    async def complete(self, context: TaskContext, tx: Connection) -> None:
        """Complete the task inside the handler's transaction."""
        ...

    async def operate(self, work: Work[T]) -> T:
        """What `work` gives, run with the operations database where that may be used."""
        ...


class TaskContext:
    """The handler's side of one attempt."""

    _steps: Steps | None = None

    def __init__(self, claim: Claim, params: Any, runtime: TaskRuntime, reports: Reports) -> None:
        self.id = claim.id
        self.params = params
        self.attempt = claim.attempt
        self.claim_token = claim.token
        self.requested_by = claim.requested_by
        self.tenant = claim.tenant
        self.entity_type = claim.entity_type
        self.file_name = claim.file_name
        self.input_key = claim.input_key
        self.traceparent = claim.traceparent
        self.claim = claim
        self.runtime = runtime
        self.total: int | None = None
        self.done = 0
        self.failed = 0
        self.message: str | None = None
        self.error_file: Any = None
        self.delay = 0  # microseconds from claim to start
        self.announced = False  # the start is written and published
        self.cancelled = False
        self.completed = False
        self._reports = reports

    @property
    def pool(self) -> Pool:
        """The pool of the database of the task's service."""
        return self.runtime.pool

    @property
    def objects(self) -> ObjectStore:
        """The object store; raises `RuntimeError` in a worker that was started without one."""
        if self.runtime.objects is None:
            raise RuntimeError("This worker was started without an object store.")
        return self.runtime.objects

    def progress(
        self,
        *,
        done: int | None = None,
        total: int | None = None,
        failed: int | None = None,
        message: str | None = None,
    ) -> None:
        """Note how far the work is: call it per row, it is written at most four times a second.

        Raises `Cancelled` when cancelling was asked for.
        """
        if done is not None:
            self.done = done
        if total is not None:
            self.total = total
        if failed is not None:
            self.failed = failed
        if message is not None:
            self.message = message
        self._reports.progressed(self)
        if self.cancelled:
            self.check()

    def take_progress(self, done: int, total: int | None, failed: int, message: str | None) -> None:
        """Take over counts told elsewhere, by the process the handler runs in."""
        self.done, self.total, self.failed, self.message = done, total, failed, message
        self._reports.progressed(self)

    def take_line(self, line: LogLine) -> None:
        """Take over a log line told elsewhere."""
        self._reports.logged(self, line)

    def log(self, level: str, message: str, **fields: Any) -> None:
        """Add a line to the task's log (`info`, `warning`, `error`, …)."""
        # the system's time, whatever clock the handler has: the log is kept in partitions of real days
        self._reports.logged(self, LogLine(level, message, fields, SYSTEM.now()))

    def check(self) -> None:
        """Return while the work is wanted; raise `Cancelled` when cancelling was asked for."""
        if self.cancelled:
            raise Cancelled(f"Task {self.id} was cancelled.", task_id=self.id)

    async def complete(self, tx: Connection) -> None:
        """Complete the task in the handler's own transaction of the operations database.

        The handler's effects and the completion are committed together or not at all. Raises `Fenced` when the
        task was taken away meanwhile, which rolls `tx` back; `OtherDatabase` when `tx` is of another database.
        """
        await self._reports.complete(self, tx)
        self.completed = True

    async def step(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """What `function(*arguments)` returned, run once: a restarted task gets what was kept and does not call it.

        The function may be async or plain; its result must be JSON of at most 256 KiB and comes as JSON gives it back
        (a tuple as a list, a struct as a dict), the first time as well. It is kept when the function has returned: a
        worker that dies between the two runs the step again, so give the step's own effects a key. Names are unique
        within an attempt. Raises `Cancelled` when cancelling was asked for, `StepRefused`, `Fenced`.
        """
        self.check()
        return await self._stepping().run(name, function, arguments)

    async def fan_out(
        self,
        children: Sequence[NewTask],
        *,
        name: str = "children",
        policy: str | int = "all",
        then: str | None = None,
    ) -> FanOut:
        """Create the children and wait for them without a slot; what became of them, when all are done.

        Children and waiting are one transaction; the call ends the attempt, and the handler is called again when every
        child is done: then this call returns. What came before it runs again, unless it was a step. `policy` says what
        children may fail (or be cancelled): `all` must complete, at least one (`any`), `ignore`, or how many may fail,
        as a number or a percentage (`"2%"`); otherwise `ChildrenFailed` is raised. With `then` a task of that type is
        created when all are done, whatever the policy says, with the `FanOut` as its parameters. Names are unique
        among the attempt's steps and fan-outs.
        """
        self.check()
        self._stepping().take(name)
        found = await self._reports.operate(Spreading(self, name, children, policy, then).go)
        if found is None:
            self.completed = True  # this attempt has nothing more to write
            raise WaitsForChildren
        return found

    def _stepping(self) -> Steps:
        if self._steps is None:
            self._steps = Steps(self.id, self.claim_token, self.attempt, self._reports.operate)
        return self._steps

    def output_key(self, kind: str, extension: str) -> str:
        """The object key of one of the task's own files, such as `result` or `errors`."""
        return f"{self.tenant}/{self.id}/{kind}.{extension}"

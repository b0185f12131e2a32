"""Changing tasks from outside a worker: cancel, retry, upload arrived, progress, delete, pause a queue."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

import psycopg

from opsplane.clock import SYSTEM, Clock
from opsplane.database import Connection, Doorbell, Pool, after_commit, sql
from opsplane.events import Outbox
from opsplane.tasks import channels
from opsplane.tasks.announce import publish, task_event, wanted
from opsplane.tasks.draining import creators_ended
from opsplane.tasks.errors import DuplicateTask, Fenced, TaskNotFound
from opsplane.tasks.events import Happened, append_events
from opsplane.tasks.ids import is_id
from opsplane.tasks.rows import task_of
from opsplane.tasks.states import FINISHED, Code, IllegalTransition, Status, move
from opsplane.tasks.tallying import Child, tally_children
from opsplane.tasks.task import EMITS, Task


class TaskControl:
    """Changes of tasks, each in one transaction of the operations database; illegal ones raise and change nothing."""

    def __init__(
        self,
        pool: Pool,
        outbox: Outbox | None = None,
        doorbell: Doorbell | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        self.pool = pool
        self._outbox = outbox
        self._doorbell = doorbell
        self._clock = clock

    async def cancel(self, task_id: str, actor: str) -> Task:
        """The task: cancelled at once when no worker has it, else asked to stop (`cancel_requested_at`).

        One that waits for its children is cancelled when they are, which the joiner sees to.

        Raises `TaskNotFound`, `IllegalTransition` when it is finished.
        """
        async with self.pool.transaction() as tx:
            task = await self._locked(tx, task_id)
            move("cancel", task.status, task_id)
            if task.status is Status.PROCESSING:
                row = await self._one(tx, "request_cancel", {"id": task_id, "actor": actor})
                happened = Happened(task_id, self._clock.now(), "cancel_requested", task.attempt, actor)
                if task.cancel_requested_at is None:
                    await append_events(tx, [happened])
                self._ring(tx, channels.CONTROL, f"cancel {task_id}")
                self._ring(tx, channels.TALLY, "")
                return task_of(row, self._clock.now())
            return await self.finish(tx, task, Code.CANCELLED, actor=actor)

    async def retry(self, task_id: str, actor: str) -> Task:
        """The failed task, pending again with its retry counted.

        Raises `TaskNotFound`, `IllegalTransition` when it did not fail, `DuplicateTask`.
        """
        async with self.pool.transaction() as tx:
            task = await self._locked(tx, task_id)
            move("retry", task.status, task_id)
            try:
                row = await self._one(tx, "retry_task", {"id": task_id})
            except psycopg.errors.UniqueViolation as error:
                raise DuplicateTask(
                    f"Another unfinished {task.task_type} task has the unique key {task.unique_key!r}."
                ) from error
            if task.parent_id is not None:
                await tally_children(tx, [Child(task_id, task.parent_id, Code.FAILED)], sign=-1)
                self._ring(tx, channels.TALLY, "")
            detail = {"error": task.error_kind, "message": task.error_message}
            ended = task.completed_at or self._clock.now()
            past = [Happened(task_id, ended, "failed", task.attempt, None, detail)]
            if task.started_at is not None:
                past.insert(
                    0, Happened(task_id, task.started_at, "started", task.attempt, f"worker {task.worker}")
                )
            await append_events(tx, [*past, Happened(task_id, self._clock.now(), "retried", None, actor)])
            self._ring(tx, channels.CREATED, task.queue)
            self._ring(tx, channels.PROGRESS, task_id)
            return task_of(row, self._clock.now())

    async def uploaded(self, task_id: str, *, size: int | None = None, actor: str = "upload") -> Task:
        """The task, claimable now that its file is there; one that does not wait is returned as it is."""
        async with self.pool.transaction() as tx:
            task = await self._locked(tx, task_id)
            if task.waits_for != "upload":
                return task
            row = await self._one(tx, "ready_uploaded", {"id": task_id, "size": size})
            await append_events(tx, [Happened(task_id, self._clock.now(), "uploaded", None, actor)])
            self._ring(tx, channels.CREATED, task.queue)
            self._ring(tx, channels.PROGRESS, task_id)
            return task_of(row, self._clock.now())

    async def refuse_upload(self, task_id: str, kind: str, message: str) -> Task:
        """The task, failed because its file is missing or is not the one announced."""
        async with self.pool.transaction() as tx:
            task = await self._locked(tx, task_id)
            if task.waits_for != "upload":
                raise IllegalTransition(f"Task {task_id} does not wait for an upload.", task_id=task_id)
            move("fail", task.status, task_id)
            return await self.finish(tx, task, Code.FAILED, error_kind=kind, error_message=message)

    async def delete(self, task_id: str) -> None:
        """Forget a finished task, its log and its events. Raises `TaskNotFound`, `IllegalTransition`."""
        async with self.pool.transaction() as tx:
            task = await self._locked(tx, task_id)
            if task.status not in FINISHED:
                raise IllegalTransition(
                    f"Task {task_id} is {task.status}: only a finished task can be deleted.",
                    remedy="Cancel it first.",
                    task_id=task_id,
                )
            await tx.execute(sql(__package__, "delete_finished"), {"id": task_id})

    async def progress(
        self,
        task_id: str,
        *,
        token: int | None = None,
        total: int | None = None,
        processed: int | None = None,
        failed: int | None = None,
        message: str | None = None,
    ) -> Task:
        """The task with the progress told from outside its worker.

        Raises `TaskNotFound`, `IllegalTransition` when it is not running, `Fenced` when `token` is of another attempt.
        """
        told = {"total": total, "processed": processed, "failed": failed, "message": message}
        async with self.pool.transaction() as tx:
            task = await self._locked(tx, task_id)
            if task.status is not Status.PROCESSING:
                raise IllegalTransition(f"Task {task_id} is {task.status}, not processing.", task_id=task_id)
            row = await self._one(tx, "write_progress", {"id": task_id, "token": token, **told})
            if row is None:
                raise Fenced(f"Task {task_id} is run by another attempt now.", task_id=task_id)
            self._ring(tx, channels.PROGRESS, task_id)
            return task_of(row, self._clock.now())

    async def pause(self, queue: str, actor: str, reason: str | None = None) -> None:
        """Have workers stop claiming from the queue within a second and hand back what they have not started."""
        async with self.pool.transaction() as tx:
            await tx.execute(
                sql(__package__, "pause_queue"), {"name": queue, "actor": actor, "reason": reason}
            )
            self._ring(tx, channels.CONTROL, f"queue {queue}")

    async def drain(self, queue: str, actor: str, reason: str | None = None) -> bool:
        """Have the queue take no new tasks and run those it holds to the end; children of its tasks are taken.

        True: what is created from now on is refused, and no transaction that began before can still add a task. False:
        one that is open for longer than some seconds still may.
        """
        async with self.pool.transaction() as tx:
            told = {"name": queue, "actor": actor, "reason": reason}
            await tx.execute(sql(__package__, "drain_queue"), told)
            self._ring(tx, channels.CONTROL, f"queue {queue}")
        return await creators_ended(self.pool, self._clock)

    async def resume(self, queue: str) -> None:
        """Let a queue that is paused or drained run and take tasks again; another stays as it is."""
        async with self.pool.transaction() as tx:
            await tx.execute(sql(__package__, "resume_queue"), {"name": queue})
            self._ring(tx, channels.CONTROL, f"queue {queue}")

    async def _locked(self, tx: Connection, task_id: str) -> Task:
        row = None
        if is_id(task_id):
            row = await self._one(tx, "lock_task", {"id": task_id})
            row = row or await self._one(tx, "lock_finished", {"id": task_id})
        if row is None:
            raise TaskNotFound(f"There is no task {task_id}.", task_id=task_id)
        return task_of(row, self._clock.now())

    async def finish(
        self,
        tx: Connection,
        task: Task,
        status: int,
        *,
        actor: str | None = None,
        error_kind: str | None = None,
        error_message: str | None = None,
    ) -> Task:
        """The task, which no worker has, in a final state; in the caller's transaction, in which it is locked."""
        told = {"actor": actor, "error_kind": error_kind, "error_message": error_message}
        row = await self._one(tx, "finish_unclaimed", {"id": task.id, "status": status, **told})
        if task.parent_id is not None:
            await tally_children(tx, [Child(task.id, task.parent_id, status)])
            self._ring(tx, channels.TALLY, "")
        kind = "cancelled" if status == Code.CANCELLED else "failed"
        if self._outbox is not None and wanted(kind, EMITS.index(task.emit)):
            facts = (
                {"cancelledBy": actor}
                if status == Code.CANCELLED
                else {"error": error_kind, "message": error_message}
            )
            at: datetime = self._clock.now()
            event = task_event(
                self._outbox.source,
                kind,
                task.id,
                task.task_type,
                at=at,
                requestedBy=task.requested_by,
                **facts,
            )
            await publish(self._outbox, tx, [event])
        self._ring(tx, channels.PROGRESS, task.id)
        return task_of(row, self._clock.now())

    async def _one(self, tx: Connection, name: str, parameters: dict[str, Any]) -> Any:
        return await (await tx.execute(sql(__package__, name), parameters)).fetchone()

    def _ring(self, tx: Connection, channel: str, payload: str) -> None:
        if self._doorbell is not None:
            after_commit(tx, partial(self._doorbell.ring, channel, payload))

"""Creating tasks: the row, its event and the caller's own changes in one transaction."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import msgspec

from opsplane.clock import SYSTEM, Clock
from opsplane.database import Connection, Doorbell, Pool, after_commit, sql
from opsplane.errors import InvalidInput
from opsplane.events import Event, Outbox
from opsplane.tasks import channels
from opsplane.tasks.announce import publish, task_event, wanted
from opsplane.tasks.copying import copy_tasks
from opsplane.tasks.draining import require_open
from opsplane.tasks.errors import DuplicateTask, IdempotencyConflict, UnknownTaskType
from opsplane.tasks.ids import new_id, new_ids
from opsplane.tasks.rows import task_of
from opsplane.tasks.states import Code
from opsplane.tasks.task import EMITS, HIGHEST_PRIORITY, NewTask, Task
from opsplane.tasks.task_type import TaskType
from opsplane.telemetry import counter

_created = counter("tasks_created_total", "Tasks created.", ["type"])


class Producer:
    """Creates tasks of the given types in the operations database."""

    def __init__(
        self,
        pool: Pool,
        types: Iterable[TaskType],
        outbox: Outbox | None = None,
        doorbell: Doorbell | None = None,
        clock: Clock = SYSTEM,
    ) -> None:
        self.pool = pool
        self.types: Mapping[str, TaskType] = {kind.name: kind for kind in types}
        self._outbox = outbox
        self._doorbell = doorbell
        self._clock = clock

    async def submit(self, new: NewTask) -> Task:
        """The task, created in a transaction of its own; raises what `create` raises."""
        async with self.pool.transaction() as tx:
            return await self.create(tx, new)

    async def create(self, tx: Connection, new: NewTask) -> Task:
        """The task, created in the caller's transaction of the operations database.

        With `file_name` it waits for its upload to `input_key`. With an `idempotency_key` that was used for the
        same request before, that task is returned. Raises `UnknownTaskType`, `InvalidInput`, `DuplicateTask`,
        `IdempotencyConflict`, `QueueDraining`.
        """
        kind = self.type_of(new)
        row = self._row(kind, new, new_id())
        if new.idempotency_key is not None:
            earlier = await self._earlier(tx, new, row["id"])
            if earlier is not None:
                return earlier
        found = await (await tx.execute(sql(__package__, "insert_task"), row)).fetchone()
        if found is None:
            await require_open(tx, [(row["queue"], new.parent_id)])
            raise DuplicateTask(
                f"An unfinished {new.task_type} task has the unique key {new.unique_key!r}.",
                task_type=new.task_type,
                unique_key=new.unique_key,
            )
        task = task_of(found, self._clock.now())
        await publish(self._outbox, tx, self._events([kind], [new], [task.id]))
        self._announce(tx, {task.queue: 1}, [new])
        return task

    async def create_many(self, tx: Connection, news: Sequence[NewTask]) -> list[str]:
        """The ids of the tasks, created by one COPY in the caller's transaction, in the order given.

        Tasks with a file, a unique key or an idempotency key are refused here: create those one by one.
        """
        kinds = [self.type_of(new) for new in news]
        for new in news:
            if new.file_name or new.unique_key or new.idempotency_key:
                raise InvalidInput(
                    "create_many takes no tasks with a file, a unique key or an idempotency key."
                )
        ids = new_ids(len(news))
        await copy_tasks(tx, list(zip(ids, kinds, news, strict=True)))
        await publish(self._outbox, tx, self._events(kinds, news, ids))
        queues = {new.queue or kind.queue_name: 1 for new, kind in zip(news, kinds, strict=True)}
        self._announce(tx, queues, news)
        return ids

    def type_of(self, new: NewTask) -> TaskType:
        """The declared type of the task; raises `UnknownTaskType` with the nearest name, `InvalidInput`."""
        kind = self.types.get(new.task_type)
        if kind is None:
            near = difflib.get_close_matches(new.task_type, self.types, n=1)
            raise UnknownTaskType(
                f"No service declares the task type {new.task_type!r}.",
                remedy=f"Did you mean {near[0]}?" if near else "See: opsplane task types",
                violations=[{"pointer": "/taskType", "keyword": "enum", "message": "unknown task type"}],
            )
        if not 0 <= new.priority <= HIGHEST_PRIORITY:
            raise InvalidInput(
                f"priority is {new.priority}, and must be between 0 and {HIGHEST_PRIORITY}.",
                violations=[{"pointer": "/priority", "keyword": "range", "message": "0 to 9"}],
            )
        return kind

    def _row(self, kind: TaskType, new: NewTask, task_id: str) -> dict[str, Any]:
        given = msgspec.structs.asdict(new)
        extension = PurePosixPath(new.file_name or "").suffix.lower()
        upload = new.file_name is not None
        safe = extension if extension[1:].isascii() and extension[1:].isalnum() else ".bin"
        return {
            **given,
            "id": task_id,
            "status": Code.WAITING if upload else Code.READY,
            "prio": HIGHEST_PRIORITY - new.priority,
            "emit": EMITS.index(kind.emit),
            "queue": new.queue or kind.queue_name,
            "entity_type": new.entity_type or kind.entity,
            "params": kind.encode_params(new.params),
            "max_retries": kind.retry.attempts if new.max_retries is None else new.max_retries,
            "timeout_seconds": kind.timeout if new.timeout_seconds is None else new.timeout_seconds,
            "waits_for": "upload" if upload else None,
            "upload_timeout": kind.upload_timeout if upload else None,
            "input_key": f"{new.tenant}/{task_id}/input{safe}" if upload else None,
        }

    async def _earlier(self, tx: Connection, new: NewTask, task_id: str) -> Task | None:
        request = msgspec.structs.replace(new, idempotency_key=None, traceparent=None)
        fingerprint = hashlib.sha256(msgspec.json.encode(request, order="sorted")).hexdigest()
        owner = new.requested_by or ""
        reserved = [owner, new.idempotency_key, fingerprint, task_id]
        if await (await tx.execute(sql(__package__, "insert_idempotency"), reserved)).fetchone():
            return None
        used = await (await tx.execute(sql(__package__, "get_idempotency"), reserved[:2])).fetchone()
        if used is None or used["fingerprint"] != fingerprint:
            raise IdempotencyConflict(
                f"The idempotency key {new.idempotency_key!r} was used for another request."
            )
        row = await (await tx.execute(sql(__package__, "get_task"), [used["task_id"]])).fetchone()
        if row is None:
            raise IdempotencyConflict(f"The task of the idempotency key {new.idempotency_key!r} was deleted.")
        return task_of(row, self._clock.now())

    def _events(
        self, kinds: Sequence[TaskType], news: Sequence[NewTask], ids: Sequence[str]
    ) -> Iterator[Event[Any]]:
        if self._outbox is None:
            return
        for kind, new, task_id in zip(kinds, news, ids, strict=True):
            if wanted("created", EMITS.index(kind.emit)):
                scheduled = new.scheduled_at.isoformat() if new.scheduled_at else None
                yield task_event(
                    self._outbox.source,
                    "created",
                    task_id,
                    kind.name,
                    at=self._clock.now(),
                    traceparent=new.traceparent,
                    entityType=new.entity_type or kind.entity,
                    requestedBy=new.requested_by,
                    queue=new.queue or kind.queue_name,
                    priority=new.priority,
                    scheduledAt=scheduled,
                    fileName=new.file_name,
                )

    def _announce(self, tx: Connection, queues: Mapping[str, int], news: Sequence[NewTask]) -> None:
        counts: dict[str, int] = {}
        for new in news:
            counts[new.task_type] = counts.get(new.task_type, 0) + 1
        after_commit(tx, partial(_count, counts))
        if self._doorbell is not None:
            for queue in queues:
                after_commit(tx, partial(self._doorbell.ring, channels.CREATED, queue))


def _count(counts: Mapping[str, int]) -> None:
    for name, number in counts.items():
        _created.labels(name).inc(number)

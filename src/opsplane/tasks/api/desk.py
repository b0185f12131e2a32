"""What the handlers work with, and the steps more than one of them takes."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import msgspec

from opsplane.action import Action, Actor, Audit, perform
from opsplane.clock import SYSTEM, Clock
from opsplane.database import Viewer
from opsplane.errors import Denied, NotFound
from opsplane.files import ObjectStore, clean_file_name
from opsplane.tasks.actions import OWNER, STAFF, Hand, TaskTarget
from opsplane.tasks.api.live import LiveTasks
from opsplane.tasks.api.requests import CorrectedRows, CreateTask
from opsplane.tasks.api.views import CreatedTask, Download, TaskView, created_view, task_view
from opsplane.tasks.bulk_actions import BulkBook
from opsplane.tasks.callbacks import PUBLIC_ONLY, CallbackPolicy
from opsplane.tasks.control import TaskControl
from opsplane.tasks.limits import LimitBook
from opsplane.tasks.producer import Producer
from opsplane.tasks.remote import RemoteWork
from opsplane.tasks.schedules import ScheduleBook, Scheduler
from opsplane.tasks.store import TaskStore
from opsplane.tasks.task import DEFAULT_TENANT, Task
from opsplane.tasks.task_type import TaskType
from opsplane.tasks.uploads import accept_upload
from opsplane.web import Identity

C = TypeVar("C")
P = TypeVar("P")
R = TypeVar("R")
Act = Action[Hand, P, Any]
Which = Literal["result", "errors", "input"]


class NoSuchFile(NotFound):
    """The task has no such file, or not yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDesk:
    """Everything behind `/api/v1/operations`."""

    store: TaskStore
    producer: Producer
    control: TaskControl
    limits: LimitBook
    bulk: BulkBook
    schedules: ScheduleBook
    scheduler: Scheduler
    live: LiveTasks
    remote: RemoteWork
    objects: ObjectStore
    audit: Audit
    callbacks: CallbackPolicy = PUBLIC_ONLY
    clock: Clock = SYSTEM

    async def create(
        self, wanted: CreateTask, identity: Identity, key: str | None, *, parent: str | None = None
    ) -> CreatedTask:
        """The task, waiting for its file where it has one; raises what the request, the type or the roles forbid."""
        new = msgspec.structs.replace(wanted.new_task(identity, key), parent_id=parent)
        _require_creator(self.producer.type_of(new), identity)
        if new.callback_url is not None:
            self.callbacks.target(new.callback_url)
        task = await self.producer.submit(new)
        facts = {"taskId": task.id, "taskType": task.task_type, "requestedBy": task.requested_by}
        facts.update({"parentId": parent} if parent else {})
        await self.audit(identity.actor, "task.create", facts, None, "done")
        if task.input_key is None or task.waits_for is None:
            return created_view(task, self.clock.now(), None)
        upload = await self.objects.presign_put(task.input_key, _content_type(task), task.file_size)
        return created_view(task, self.clock.now(), upload)

    async def correct(
        self, task_id: str, rows: CorrectedRows, identity: Identity, key: str | None
    ) -> CreatedTask:
        """A child of the import, for the rows it refused; raises what `create` and `corrected_params` raise."""
        task = await self.owned(task_id, identity)
        return await self.create(rows.import_like(task), identity, key, parent=task.id)

    def seen_by(self, identity: Identity) -> TaskStore:
        """The tasks as `identity` may see them: all for staff, of their tenant for its members, else their own."""
        if identity.holds(STAFF):
            return self.store
        tenant = identity.tenant or DEFAULT_TENANT
        return self.store.seen_by(Viewer(tenant, identity.sub, member=identity.tenant is not None))

    async def visible(self, task_id: str, identity: Identity) -> Task:
        """The task, when `identity` may see it; raises `TaskNotFound` otherwise."""
        return await self.seen_by(identity).get(task_id)

    async def owned(self, task_id: str, identity: Identity) -> Task:
        """The task, when `identity` may change it: its requester, and staff. Raises `TaskNotFound`, `Denied`."""
        task = await self.visible(task_id, identity)
        if task.requested_by != identity.sub and not identity.holds(STAFF):
            raise Denied(
                f"Task {task_id} is {task.requested_by}'s: only they and {STAFF} may change it.",
                task_id=task_id,
            )
        return task

    async def act(self, action: Act[P], target: P, identity: Identity, reason: str | None) -> Any:
        """What the action gives, done by the caller and audited."""
        return await self.perform(
            action, Hand(self.control, self.store, identity.sub), target, identity, reason
        )

    async def perform(
        self, action: Action[C, P, R], context: C, target: P, identity: Identity, reason: str | None
    ) -> R:
        """The same for actions that work with something else than tasks and queues."""
        return await perform(action, context, target, actor=identity.actor, audit=self.audit, reason=reason)

    async def act_on(
        self, action: Act[TaskTarget], task_id: str, identity: Identity, reason: str | None
    ) -> TaskView:
        """The task after an action that its requester may do as well as staff, audited."""
        return task_view(await self.act_as_owner(action, task_id, identity, reason), self.clock.now())

    async def act_as_owner(
        self, action: Act[TaskTarget], task_id: str, identity: Identity, reason: str | None
    ) -> Any:
        """What an action gives that a task's requester may do as well as staff, audited."""
        task = await self.owned(task_id, identity)
        actor = Actor(identity.sub, identity.roles | {OWNER})
        hand = Hand(self.control, self.store, identity.sub)
        return await perform(action, hand, TaskTarget(task.id), actor=actor, audit=self.audit, reason=reason)

    async def uploaded(self, task_id: str, identity: Identity) -> TaskView:
        """The task, claimable now that its file is there; raises `UploadMissing`, `UploadDiffers`."""
        task = await accept_upload(await self.owned(task_id, identity), self.objects, self.control)
        return task_view(task, self.clock.now())

    async def delete(self, task_id: str, identity: Identity) -> None:
        """Forget a finished task and its files; raises `IllegalTransition` while it is not finished."""
        task = await self.owned(task_id, identity)
        await self.control.delete(task.id)
        async for found in self.objects.list(f"{task.tenant}/{task.id}/"):
            await self.objects.delete(found.key)
        await self.audit(identity.actor, "task.delete", {"taskId": task.id}, None, "done")

    async def download(self, task: Task, which: Which) -> Download:
        """A presigned URL of one of the task's files; raises `NoSuchFile`."""
        key, name, kind = _file(task, which)
        info = await self.objects.head(key) if key else None
        if key is None or info is None:
            raise NoSuchFile(f"Task {task.id} is {task.status} and has no file {which!r}.", task_id=task.id)
        signed = await self.objects.presign_get(key, name, kind)
        return Download(
            url=signed.url, expires_at=signed.expires_at, file_name=name, content_type=kind, size=info.size
        )


def _require_creator(kind: TaskType, identity: Identity) -> None:
    """Return when the caller may have such tasks run: staff, or staff of the service whose data they touch."""
    roles: Sequence[str] = [STAFF, *([f"{kind.service}_staff"] if kind.service else [])]
    if not identity.holds(*roles):
        raise Denied(
            f"Creating {kind.name} tasks needs one of the roles {', '.join(roles)}.", task_type=kind.name
        )


def _content_type(task: Task) -> str:
    return mimetypes.guess_type(task.file_name or "")[0] or "application/octet-stream"


def _file(task: Task, which: Which) -> tuple[str | None, str, str]:
    if which == "input":
        return task.input_key, clean_file_name(task.file_name or "input"), _content_type(task)
    file = task.result_file if which == "result" else task.error_file
    return (file.key, file.file_name, file.content_type) if file else (None, "", "")

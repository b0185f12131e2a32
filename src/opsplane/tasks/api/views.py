"""What clients get: tasks and what belongs to them in camelCase."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from opsplane.files import SignedUrl
from opsplane.tasks.task import ResultFile, Task

BASE = "/api/v1/operations"


class FileView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A file of a task; `url` answers with a URL to download it."""

    url: str
    file_name: str
    content_type: str
    rows: int | None = None


class TaskView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A task. Times are UTC; the file URLs answer with a presigned URL of fifteen minutes."""

    id: str
    task_type: str
    entity_type: str | None
    status: str
    priority: int
    queue: str
    params: Any
    tenant: str
    requested_by: str | None
    waits_for: str | None
    file_name: str | None
    file_size: int | None
    sha256: str | None
    input_file_url: str | None
    output_file_url: str | None
    error_file_url: str | None
    total_records: int | None
    processed_records: int
    success_records: int
    failed_records: int
    progress_percentage: float | None
    eta_seconds: float | None
    message: str | None
    result: dict[str, Any] | None
    result_file: FileView | None
    error_file: FileView | None
    error_kind: str | None
    error_message: str | None
    attempt: int
    retry_count: int
    max_retries: int
    timeout_seconds: float | None
    callback_url: str | None
    parent_id: str | None
    unique_key: str | None
    scheduled_at: datetime | None
    cancel_requested_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    updated_at: datetime


class CreatedTask(TaskView, frozen=True, kw_only=True, rename="camel"):
    """A new task; a task with a file also says where to PUT it, until when, and with which headers."""

    upload_url: str | None = None
    upload_expires_at: datetime | None = None
    upload_headers: dict[str, str] | None = None


class ProgressView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How far a task is."""

    total_records: int | None
    processed_records: int
    success_records: int
    failed_records: int
    progress_percentage: float | None
    eta_seconds: float | None
    message: str | None


class Download(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a file can be fetched without a token, until when."""

    url: str
    expires_at: datetime
    file_name: str
    content_type: str
    size: int


class LogView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A line of a task's log."""

    number: int
    at: datetime
    level: str
    message: str
    fields: dict[str, Any] | None


class StepView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A finished step, in which attempt it was run, and what it returned; a long `result` is left out."""

    name: str
    attempt: int
    started_at: datetime
    finished_at: datetime
    result_size: int
    result: Any


class FanOutView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A fan-out of a task: its policy, and what became of its children so far; `joinedAt` when all were done."""

    name: str
    policy: str
    total: int
    completed: int
    failed: int
    cancelled: int
    callback_type: str | None
    callback_id: str | None
    created_at: datetime
    joined_at: datetime | None


class StepsView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What of a task's work was kept: its finished steps and its fan-outs."""

    data: list[StepView]
    fan_outs: list[FanOutView]


class CauseView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A cause why a task waits: `until` when it goes away by itself, `remedy` what a person can do."""

    reason: str
    message: str
    since: datetime | None
    until: datetime | None
    remedy: str | None


class CallbackView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a task owes its callback: `id` is the message's `webhook-id`, `dueAt` when it is tried again."""

    url: str
    state: Literal["unfinished", "waiting", "delivered", "gone", "dead"]
    id: str | None
    tries: int
    due_at: datetime | None
    tried_at: datetime | None
    last_status: int | None
    last_error: str | None


class EventView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that happened to a task."""

    at: datetime
    kind: str
    attempt: int | None
    actor: str | None
    detail: dict[str, Any] | None


def task_view(task: Task, now: datetime) -> TaskView:
    """The task for clients."""
    return TaskView(**_facts(task, now))


def created_view(task: Task, now: datetime, upload: SignedUrl | None) -> CreatedTask:
    """A new task for clients, with the URL its file goes to."""
    if upload is None:
        return CreatedTask(**_facts(task, now))
    return CreatedTask(
        **_facts(task, now),
        upload_url=upload.url,
        upload_expires_at=upload.expires_at,
        upload_headers=dict(upload.headers),
    )


def progress_view(task: Task, now: datetime) -> ProgressView:
    """How far the task is."""
    return ProgressView(
        total_records=task.total_records,
        processed_records=task.processed_records,
        success_records=task.success_records,
        failed_records=task.failed_records,
        progress_percentage=task.progress_percentage,
        eta_seconds=task.eta_seconds(now),
        message=task.message,
    )


def _facts(task: Task, now: datetime) -> dict[str, Any]:
    computed = {
        "status": str(task.status),
        "eta_seconds": task.eta_seconds(now),
        "input_file_url": _url(task, "input", task.input_key is not None and task.waits_for != "upload"),
        "output_file_url": _url(task, "result", task.result_file is not None),
        "error_file_url": _url(task, "errors", task.error_file is not None),
        "result_file": _file(task, "result", task.result_file),
        "error_file": _file(task, "errors", task.error_file),
    }
    return {
        name: computed[name] if name in computed else getattr(task, name)
        for name in TaskView.__struct_fields__
    }


def _url(task: Task, file: str, exists: bool) -> str | None:
    return f"{BASE}/tasks/{task.id}/download?file={file}" if exists else None


def _file(task: Task, name: str, file: ResultFile | None) -> FileView | None:
    if file is None:
        return None
    url = f"{BASE}/tasks/{task.id}/download?file={name}"
    return FileView(url=url, file_name=file.file_name, content_type=file.content_type, rows=file.rows)

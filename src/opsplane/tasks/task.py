"""What a task is, and how one is asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from opsplane.tasks.states import Status

Emit = Literal["none", "ends", "all"]
EMITS: tuple[Emit, ...] = ("none", "ends", "all")
DEFAULT_QUEUE = "default"
DEFAULT_TENANT = "default"  # of those that are no tenant's members
HIGHEST_PRIORITY = 9
DEFAULT_PRIORITY = 4


class ResultFile(msgspec.Struct, frozen=True):
    """The file a task produced: its key in the object store, and how a download is called."""

    key: str
    file_name: str
    content_type: str = "application/octet-stream"
    rows: int | None = None


class NewTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task to be created. What is None is taken from its type; `priority` runs from 0 to 9, 9 first."""

    task_type: str
    params: Any = msgspec.field(default_factory=dict)
    entity_type: str | None = None
    tenant: str = DEFAULT_TENANT
    requested_by: str | None = None
    queue: str | None = None
    priority: int = DEFAULT_PRIORITY
    scheduled_at: datetime | None = None
    file_name: str | None = None
    file_size: int | None = None
    sha256: str | None = None
    unique_key: str | None = None
    idempotency_key: str | None = None
    max_retries: int | None = None
    timeout_seconds: float | None = None
    callback_url: str | None = None
    parent_id: str | None = None
    traceparent: str | None = None


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task as it is now. Times are UTC; `id` is a UUIDv7, so ids sort by creation."""

    id: str
    task_type: str
    status: Status
    queue: str
    priority: int
    params: Any
    tenant: str = DEFAULT_TENANT
    entity_type: str | None = None
    requested_by: str | None = None
    file_name: str | None = None
    file_size: int | None = None
    sha256: str | None = None
    input_key: str | None = None
    waits_for: str | None = None
    unique_key: str | None = None
    callback_url: str | None = None
    parent_id: str | None = None
    emit: Emit = "all"
    attempt: int = 0
    retry_count: int = 0
    max_retries: int = 0
    timeout_seconds: float | None = None
    claim_token: int | None = None
    worker: int | None = None
    cancel_requested_at: datetime | None = None
    total_records: int | None = None
    processed_records: int = 0
    failed_records: int = 0
    message: str | None = None
    result: dict[str, Any] | None = None
    result_file: ResultFile | None = None
    error_file: ResultFile | None = None
    error_kind: str | None = None
    error_message: str | None = None
    scheduled_at: datetime | None = None
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    updated_at: datetime

    @property
    def success_records(self) -> int:
        """Processed records that did not fail."""
        return max(0, self.processed_records - self.failed_records)

    @property
    def progress_percentage(self) -> float | None:
        """0 to 100; None while the total is not known."""
        if self.status is Status.COMPLETED:
            return 100.0
        if not self.total_records:
            return None
        return min(100.0, round(100.0 * self.processed_records / self.total_records, 1))

    def eta_seconds(self, now: datetime) -> float | None:
        """Seconds until the end at the rate so far; None while that cannot be told."""
        done, total = self.processed_records, self.total_records
        if self.status is not Status.PROCESSING or not total or not done or self.started_at is None:
            return None
        return round(max(0.0, (now - self.started_at).total_seconds() * (total - done) / done), 1)

"""Rows of the task tables as tasks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from opsplane.tasks.states import STATUS_OF, Code, Status
from opsplane.tasks.task import EMITS, HIGHEST_PRIORITY, ResultFile, Task

_SAME = frozenset(Task.__struct_fields__) - {
    "id",
    "status",
    "priority",
    "parent_id",
    "emit",
    "result_file",
    "error_file",
}


def task_of(row: Mapping[str, Any], now: datetime | None = None) -> Task:
    """The task a row of `any_task`, `task` or `task_history` holds."""
    fields = {name: value for name, value in row.items() if name in _SAME and value is not None}
    fields.setdefault("updated_at", row["created_at"])
    return Task(
        id=str(row["id"]),
        status=status_of(row, now or datetime.now(UTC)),
        priority=HIGHEST_PRIORITY - row["prio"],
        parent_id=str(row["parent_id"]) if row["parent_id"] else None,
        emit=EMITS[row["emit"]],
        result_file=_file(row.get("result_file")),
        error_file=_file(row.get("error_file")),
        **fields,
    )


def status_of(row: Mapping[str, Any], now: datetime) -> Status:
    """`scheduled` is a ready task whose given time lies ahead."""
    scheduled_at = row["scheduled_at"]
    if row["status"] in (Code.READY, Code.HELD) and scheduled_at is not None and scheduled_at > now:
        return Status.SCHEDULED
    return STATUS_OF[row["status"]]


def _file(value: Any) -> ResultFile | None:
    return None if value is None else msgspec.convert(value, ResultFile)

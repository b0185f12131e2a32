"""Which tasks are wanted, as a condition that several statements share."""

from __future__ import annotations

from datetime import datetime
from typing import Any, LiteralString

import msgspec
from psycopg.sql import SQL, Composable, Composed

from opsplane.database import sql
from opsplane.tasks.ids import lowest_id
from opsplane.tasks.states import Code, Status

_CODES = {
    Status.SCHEDULED: [Code.READY, Code.HELD],
    Status.PENDING: [Code.READY, Code.WAITING, Code.HELD],
    Status.PROCESSING: [Code.PROCESSING, Code.JOINING],
    Status.COMPLETED: [Code.COMPLETED],
    Status.FAILED: [Code.FAILED],
    Status.CANCELLED: [Code.CANCELLED],
}


class TaskFilter(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Which tasks are wanted; None means any. `search` looks in type, file name, error message and id."""

    status: Status | None = None
    task_type: str | None = None
    entity_type: str | None = None
    queue: str | None = None
    tenant: str | None = None
    requested_by: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    search: str | None = None
    parent_id: str | None = None

    def parameters(self) -> dict[str, Any]:
        """The filter as parameters of list_tasks.sql and count_tasks.sql."""
        found = msgspec.structs.asdict(self)
        status = found.pop("status")
        scheduled = {Status.SCHEDULED: True, Status.PENDING: False}
        lowest = lowest_id(self.created_from) if self.created_from else None
        return {
            **found,
            "statuses": _CODES[status] if status else None,
            "scheduled": scheduled.get(status) if status else None,
            "lowest": lowest,
        }


def with_filter(statement: LiteralString, **parts: Composable) -> Composed:
    """The statement, in which `{filter}` is the condition of a `TaskFilter` and other names are `parts`."""
    return SQL(statement).format(filter=SQL(sql(__package__, "filter")), **parts)

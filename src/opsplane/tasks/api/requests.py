"""What clients send: the body of a new task and the filters of a list, checked before anything is done."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

import msgspec

from opsplane.errors import Denied, InvalidInput
from opsplane.tasks.actions import STAFF
from opsplane.tasks.bulk import corrected_params
from opsplane.tasks.filter import TaskFilter
from opsplane.tasks.ids import is_id
from opsplane.tasks.limits.limit import Kind, NewLimit
from opsplane.tasks.schedules.schedule import GRACE, Missed, NewSchedule, Overlap
from opsplane.tasks.states import Status
from opsplane.tasks.task import DEFAULT_PRIORITY, DEFAULT_TENANT, NewTask, Task
from opsplane.web import Identity

ALIASES = {"running": Status.PROCESSING}
HIGHEST = {"admin": 9, STAFF: 7}
_CURSOR = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")

Short = Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Bytes = Annotated[int, msgspec.Meta(ge=0, le=5 * 2**40)]
Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-fA-F]{64}$")]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class CreateTask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A task to be created; what is left out is taken from its type.

    `params` is an object, or a string that holds one as JSON. With `fileName` the task waits for its upload.
    """

    task_type: Short
    entity_type: Short | None = None
    params: dict[str, Any] | str = {}
    file_name: Short | None = None
    file_size: Bytes | None = None
    sha256: Digest | None = None
    scheduled_at: Moment | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=9)] = DEFAULT_PRIORITY
    queue: Name | None = None
    unique_key: Short | None = None
    max_retries: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=7 * 86400)] | None = None
    callback_url: str | None = None
    requested_by: Short | None = None
    tenant: Name | None = None

    def new_task(self, identity: Identity, key: str | None) -> NewTask:
        """The task as `identity` may have it: their own, with the priority capped by their roles.

        Raises `Denied` when it names another requester or tenant and the caller may not act for others.
        """
        if self.requested_by not in (None, identity.sub) and not identity.holds(STAFF):
            raise Denied(
                f"{identity.sub} may not create tasks for {self.requested_by}.",
                requested_by=self.requested_by,
            )
        tenant = identity.tenant or DEFAULT_TENANT
        if self.tenant not in (None, tenant) and not identity.holds(STAFF):
            raise Denied(
                f"{identity.sub} may not create tasks of the tenant {self.tenant}.", tenant=self.tenant
            )
        if self.file_name is None and (self.file_size is not None or self.sha256 is not None):
            raise _invalid(
                "/fileName", "required", "fileSize and sha256 describe a file: give its fileName too."
            )
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        given["requested_by"] = self.requested_by or identity.sub
        given["tenant"] = self.tenant or tenant
        given["priority"] = min(self.priority, _highest(identity))
        given["sha256"] = self.sha256.lower() if self.sha256 else None
        return NewTask(**given, idempotency_key=key)


class CorrectedRows(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The corrected error file of an import; the import it becomes is like the one that refused the rows."""

    file_name: Short
    file_size: Bytes | None = None
    sha256: Digest | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=9)] = DEFAULT_PRIORITY
    callback_url: str | None = None

    def import_like(self, task: Task) -> CreateTask:
        """The import of the file; raises what `corrected_params` raises."""
        return CreateTask(
            task_type=task.task_type,
            entity_type=task.entity_type,
            params=corrected_params(task),
            queue=task.queue,
            tenant=task.tenant,
            max_retries=task.max_retries,
            timeout_seconds=task.timeout_seconds,
            **msgspec.structs.asdict(self),
        )


class PutSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A schedule: when (`cron` in `zone`), which tasks, and the policies on times that overlap or were missed."""

    cron: Short
    task_type: Short
    zone: Short = "UTC"
    overlap: Overlap = "skip"
    missed: Missed = "once"
    grace_seconds: Annotated[float, msgspec.Meta(ge=1, le=7 * 86400)] = GRACE
    params: dict[str, Any] | str = {}
    entity_type: Short | None = None
    queue: Name | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=9)] = DEFAULT_PRIORITY
    max_retries: Annotated[int, msgspec.Meta(ge=0, le=100)] | None = None
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=7 * 86400)] | None = None

    def new_schedule(self, name: str, identity: Identity) -> NewSchedule:
        """The schedule as `identity` may have it: its tasks are requested by them, the priority capped by their roles."""
        given = {name: getattr(self, name) for name in self.__struct_fields__}
        given["priority"] = min(self.priority, _highest(identity))
        return NewSchedule(name=name, requested_by=identity.sub, **given)


def _highest(identity: Identity) -> int:
    return max([DEFAULT_PRIORITY, *(HIGHEST.get(role, 0) for role in identity.roles)])


class PutLimit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """How many tasks run at once (`concurrency`), and how many start in a time (`rate` in `perSeconds`)."""

    concurrency: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    rate: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    per_seconds: Annotated[float, msgspec.Meta(ge=0.1, le=86400)] | None = None

    def new_limit(self, kind: Kind, name: str) -> NewLimit:
        """The limit of this kind and name."""
        return NewLimit(
            kind=kind, name=name, concurrency=self.concurrency, rate=self.rate, per_seconds=self.per_seconds
        )


class PutQueue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A queue's `weight` among queues, and whether its tenants take turns (`fair`); what is left out stays."""

    weight: Annotated[float, msgspec.Meta(ge=0.01, le=1000)] | None = None
    fair: bool | None = None


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """The query of `GET /tasks` as it came, and the filter of bulk actions."""

    task_type: str | None = None
    entity_type: str | None = None
    status: str | None = None
    queue: str | None = None
    tenant: str | None = None
    requested_by: str | None = None
    parent_id: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    search: str | None = None

    def filter(self, identity: Identity) -> TaskFilter:
        """The same for the store, narrowed to what `identity` may see.

        A date is a day (`endDate` includes all of it) or a time with its zone; anything else is refused.
        """
        by, tenant = self._whose(identity)
        return TaskFilter(
            status=_status(self.status),
            task_type=self.task_type,
            entity_type=self.entity_type,
            queue=self.queue,
            tenant=tenant,
            requested_by=by,
            parent_id=_parent(self.parent_id),
            created_from=_moment("startDate", self.start_date, lambda day: day),
            created_to=_moment("endDate", self.end_date, lambda day: day + timedelta(days=1)),
            search=self.search,
        )

    def _whose(self, identity: Identity) -> tuple[str | None, str | None]:
        """Requester and tenant to look for: staff sees all, a member its tenant's, others their own."""
        if identity.holds(STAFF):
            return self.requested_by, self.tenant
        if self.tenant not in (None, identity.tenant or DEFAULT_TENANT):
            raise Denied(f"{identity.sub} may not see the tasks of the tenant {self.tenant}.")
        if identity.tenant is not None:
            return self.requested_by, identity.tenant
        if self.requested_by not in (None, identity.sub):
            raise Denied(f"{identity.sub} may not see the tasks of {self.requested_by}.")
        return identity.sub, DEFAULT_TENANT


class BulkRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """A bulk action: `all` must be said for a filter that leaves nothing out, `dryRun: false` for more than a preview."""

    filter: ListQuery = ListQuery()
    all: bool = False
    dry_run: bool = True


def cursor_of(text: str | None) -> str | None:
    """The cursor as the store takes it; raises `InvalidInput` for what no list gave out."""
    if text is not None and not _CURSOR.match(text):
        raise _invalid("/cursor", "format", f"{text[:60]!r} is no cursor; take the nextCursor of a list.")
    return text


def _parent(text: str | None) -> str | None:
    if text is not None and not is_id(text):
        raise _invalid("/parentId", "format", f"{text[:60]!r} is no id of a task.")
    return text


def _status(text: str | None) -> Status | None:
    if text is None:
        return None
    if text in ALIASES:
        return ALIASES[text]
    if text not in set(Status):
        raise _invalid(
            "/status", "enum", f"{text[:60]!r} is no status; there are {', '.join([*Status, *ALIASES])}."
        )
    return Status(text)


def _moment(name: str, text: str | None, bound: Callable[[date], date]) -> datetime | None:
    if text is None:
        return None
    try:
        if len(text) == 10:
            return datetime.combine(bound(date.fromisoformat(text)), time(), UTC)
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # a plus sign that a client did not encode
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _invalid(f"/{name}", "format", f"{text[:60]!r} is neither a day (2026-01-31) nor a time with zone.")


def _invalid(pointer: str, keyword: str, message: str) -> InvalidInput:
    violation = {"pointer": pointer, "keyword": keyword, "message": message}
    return InvalidInput(f"{pointer[1:]}: {message}", violations=[violation])

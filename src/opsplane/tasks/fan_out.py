"""Fan-out: child tasks, and a parent that waits for them without a slot and goes on as its policy on failures says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from opsplane.database import Connection, sql
from opsplane.errors import InvalidInput
from opsplane.tasks.announce import begun_event, publish, wanted
from opsplane.tasks.errors import ChildrenFailed, Fenced
from opsplane.tasks.events import Happened, append_events
from opsplane.tasks.operations import Operations
from opsplane.tasks.task import NewTask

if TYPE_CHECKING:
    from opsplane.tasks.context import TaskContext

CHILDREN_LIMIT = 100_000
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%\Z")


class FanOut(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A fan-out whose children are all done, with their counts: what the parent gets, and its callback as parameters."""

    parent_id: str
    name: str
    policy: str
    total: int
    completed: int
    failed: int
    cancelled: int
    passed: bool


def policy_text(policy: str | int) -> str:
    """The policy as it is kept. Raises `InvalidInput` for one that is none."""
    text = str(policy)
    percent = _PERCENT.match(text)
    if text in ("all", "any", "ignore") or (text.isascii() and text.isdecimal()):
        return text
    if percent and float(percent[1]) <= 100:
        return text
    raise InvalidInput(
        f"{policy!r} is no policy for children that fail.",
        remedy="Give all, any, ignore, or how many may fail: a number, or a percentage such as '2.5%'.",
    )


def passes(policy: str, total: int, completed: int) -> bool:
    """Whether the policy lets the parent go on; every child that did not complete counts as failed."""
    lacking = total - completed
    match policy:
        case "all":
            return lacking == 0
        case "any":
            return completed > 0 or total == 0
        case "ignore":
            return True
    if policy.endswith("%"):
        return 100.0 * lacking <= float(policy[:-1]) * total
    return lacking <= int(policy)


class Spreading:
    """One fan-out of one attempt."""

    def __init__(
        self,
        context: TaskContext,
        name: str,
        children: Sequence[NewTask],
        policy: str | int,
        then: str | None,
    ) -> None:
        self._context = context
        self._name = name
        self._children = children
        self._policy = policy_text(policy)
        self._then = then
        if len(children) > CHILDREN_LIMIT:
            raise InvalidInput(
                f"Fan-out {name!r} of task {context.id} has {len(children)} children, at most {CHILDREN_LIMIT} are made.",
                remedy="Give each child more to do, or let children fan out themselves.",
            )

    async def go(self, operations: Operations) -> FanOut | None:
        """The fan-out when its children are done; None when the task now waits for them and this attempt is over.

        Children, callback and waiting are one transaction, fenced by the claim. Raises `Fenced`, `UnknownTaskType`,
        `InvalidInput`, `ChildrenFailed`.
        """
        async with operations.pool.transaction() as tx:
            started = await self._held(tx)
            row = await self._row(tx) or await self._open(tx, operations)
            if _lacking(row) > 0:
                await self._park(tx, operations, row, announced=started is not None)
                return None
            found = self._found(row)
            if row["callback_type"] is not None and row["callback_id"] is None:
                made = await operations.producer.create(tx, self._callback(row["callback_type"], found))
                await tx.execute(
                    sql(__package__, "name_callback"), {"callback": made.id, "number": row["number"]}
                )
        if not found.passed:
            raise ChildrenFailed(
                f"{found.total - found.completed} of {found.total} children of fan-out {found.name!r} did not complete "
                f"({found.failed} failed, {found.cancelled} cancelled), which its policy {found.policy!r} does not allow.",
                remedy=f"See: opsplane task ls --parent {found.parent_id} --status failed; retry those, then the task.",
                **msgspec.structs.asdict(found),
            )
        return found

    async def _held(self, tx: Connection) -> Any:
        told = {"id": self._context.id, "token": self._context.claim_token}
        row = await (await tx.execute(sql(__package__, "lock_claim"), told)).fetchone()
        if row is None:
            raise Fenced(f"Task {self._context.id} is run by another attempt now.", task_id=self._context.id)
        return row["started_at"]

    async def _row(self, tx: Connection) -> Mapping[str, Any] | None:
        told = {"id": self._context.id, "name": self._name}
        return await (await tx.execute(sql(__package__, "get_fan_out"), told)).fetchone()

    async def _open(self, tx: Connection, operations: Operations) -> Mapping[str, Any]:
        ids: list[str] = []
        if self._then is not None:
            probe = self._callback(self._then, self._found(dict.fromkeys(_COUNTS, 0)))
            operations.producer.type_of(probe).parse_params(probe.params)
        if self._children:
            ids = await operations.producer.create_many(tx, [self._child(new) for new in self._children])
        told = {
            "id": self._context.id,
            "name": self._name,
            "first": min(ids, default=None),
            "last": max(ids, default=None),
            "policy": self._policy,
            "total": len(ids),
            "then": self._then,
        }
        row = await (await tx.execute(sql(__package__, "insert_fan_out"), told)).fetchone()
        return row or {}

    async def _park(
        self, tx: Connection, operations: Operations, facts: Mapping[str, Any], *, announced: bool
    ) -> None:
        context = self._context
        told = {
            "id": context.id,
            "delay": context.delay,
            "total": facts["total"],
            "processed": facts["completed"] + facts["failed"] + facts["cancelled"],
            "failed": facts["failed"] + facts["cancelled"],
        }
        await tx.execute(sql(__package__, "park_task"), told)
        await tx.execute(sql(__package__, "reopen_fan_out"), [facts["number"]])
        detail = {"name": self._name, "children": facts["total"]}
        await append_events(tx, [Happened(context.id, None, "waits", context.attempt, None, detail)])
        if not announced and operations.outbox is not None and wanted("started", context.claim.emit):
            source = operations.outbox.source
            await publish(operations.outbox, tx, [begun_event(source, context.claim, context.delay)])

    def _child(self, new: NewTask) -> NewTask:
        context = self._context
        return msgspec.structs.replace(
            new,
            parent_id=context.id,
            tenant=context.tenant,
            requested_by=new.requested_by or context.requested_by,
            traceparent=new.traceparent or context.traceparent,
        )

    def _callback(self, then: str, found: FanOut) -> NewTask:
        return self._child(NewTask(task_type=then, params=msgspec.to_builtins(found)))

    def _found(self, row: Mapping[str, Any]) -> FanOut:
        policy = row.get("policy") or self._policy
        return FanOut(
            parent_id=self._context.id,
            name=self._name,
            policy=policy,
            total=row["total"],
            completed=row["completed"],
            failed=row["failed"],
            cancelled=row["cancelled"],
            passed=passes(policy, row["total"], row["completed"]),
        )


_COUNTS = ("total", "completed", "failed", "cancelled")


def _lacking(row: Mapping[str, Any]) -> int:
    """How many children are not done."""
    return int(row["total"] - row["completed"] - row["failed"] - row["cancelled"])

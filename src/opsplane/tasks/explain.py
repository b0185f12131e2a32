"""Why a task waits: every cause that holds, in the order in which they would have to go away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

import msgspec

from opsplane.database import Pool, sql
from opsplane.tasks.bulk_actions.wanted import NAME as BULK
from opsplane.tasks.errors import TaskNotFound
from opsplane.tasks.ids import is_id
from opsplane.tasks.states import STATUS_OF, Code

COUNTED = 10_000

Reason = Literal[
    "finished", "stopping", "running", "children", "upload", "scheduled", "backoff", "snoozed", "paused",
    "no_worker", "draining", "limit", "turn", "behind", "busy", "soon",
]  # fmt: skip


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One cause: `until` when it goes away by itself, `remedy` what a person can do."""

    reason: Reason
    message: str
    since: datetime | None = None
    until: datetime | None = None
    remedy: str | None = None


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A limit that the task is under, and how many of its places are taken."""

    kind: str
    name: str
    concurrency: int | None
    rate: int | None
    per_seconds: float | None
    taken: int


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a task and of all that could hold it up; `ahead` counts up to `COUNTED`."""

    status: int
    task_type: str
    queue: str
    tenant: str
    now: datetime
    run_at: datetime | None
    scheduled_at: datetime | None
    waits_until: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    cancel_requested_at: datetime | None
    attempt: int
    retry_count: int
    max_retries: int
    error_message: str | None
    worker: str | None
    paused_by: str | None
    paused_at: datetime | None
    pause_reason: str | None
    drained_by: str | None
    drained_at: datetime | None
    drain_reason: str | None
    children: int
    children_open: int
    workers: int
    slots: int
    running: int
    ahead: int
    limits: list[Taken]


async def explain(pool: Pool, task_id: str) -> list[Cause]:
    """The causes, at least one; raises `TaskNotFound`."""
    row: dict[str, Any] | None = None
    if is_id(task_id):
        row = await pool.fetch_one(sql(__package__, "explain_task"), {"id": task_id, "limit": COUNTED})
    if row is None:
        raise TaskNotFound(f"There is no task {task_id}.", task_id=task_id)
    return list(causes(msgspec.convert(row, Facts)))


def causes(facts: Facts) -> Iterator[Cause]:
    """Every cause that holds."""
    if facts.status in (Code.COMPLETED, Code.FAILED, Code.CANCELLED):
        yield _finished(facts)
    elif facts.status == Code.JOINING:
        yield Cause(
            reason="children",
            message=f"It waits for {facts.children_open} of its {facts.children} children.",
            since=facts.started_at,
        )
    elif facts.status == Code.PROCESSING:
        yield _running(facts)
    elif facts.status == Code.WAITING:
        yield Cause(
            reason="upload",
            message="Its file has not been uploaded.",
            until=facts.waits_until,
            remedy="PUT the file to the uploadUrl the task was created with.",
        )
        yield from _held(facts)
        yield from _draining(facts)
    else:
        yield from _not_due(facts)
        held = list(_held(facts))
        yield from held or (_limited(facts) if facts.status == Code.HELD else _its_turn(facts))
        yield from _draining(facts)


def _finished(facts: Facts) -> Cause:
    status, failed = STATUS_OF[facts.status], facts.status == Code.FAILED
    told = f": {facts.error_message}" if failed and facts.error_message else "."
    remedy = "Run it again with: opsplane task retry" if failed else None
    return Cause(reason="finished", message=f"It is {status}{told}", since=facts.completed_at, remedy=remedy)


def _running(facts: Facts) -> Cause:
    if facts.cancel_requested_at is not None:
        message = f"It was asked to stop; its handler on {_where(facts)} has not looked yet."
        return Cause(reason="stopping", message=message, since=facts.cancel_requested_at)
    message = f"It runs on {_where(facts)}, attempt {facts.attempt}."
    return Cause(reason="running", message=message, since=facts.started_at)


def _where(facts: Facts) -> str:
    return "the operations role" if facts.task_type == BULK else str(facts.worker)


def _not_due(facts: Facts) -> Iterator[Cause]:
    if facts.run_at is None or facts.run_at <= facts.now:
        return
    if facts.scheduled_at is not None and facts.scheduled_at > facts.now:
        yield Cause(reason="scheduled", message="It was given a time to start at.", until=facts.run_at)
    elif facts.error_message is not None:
        tries = f"{facts.retry_count} of {facts.max_retries} retries"
        message = f"It failed and is tried again ({tries}): {facts.error_message}"
        yield Cause(reason="backoff", message=message, until=facts.run_at)
    else:
        yield Cause(reason="snoozed", message="Its handler put it off.", until=facts.run_at)


def _held(facts: Facts) -> Iterator[Cause]:
    if facts.paused_at is not None:
        why = f": {facts.pause_reason}" if facts.pause_reason else "."
        yield Cause(
            reason="paused",
            message=f"The queue {facts.queue} is paused by {facts.paused_by}{why}",
            since=facts.paused_at,
            remedy=f"opsplane queue resume {facts.queue}",
        )
    if not facts.workers and facts.task_type != BULK:
        yield Cause(
            reason="no_worker",
            message=f"No worker that is there runs {facts.task_type} tasks; that of a remote type is started where it lives.",
            remedy="opsplane up --detach --only worker",
        )


def _draining(facts: Facts) -> Iterator[Cause]:
    """No cause of waiting, but of nothing coming after it."""
    if facts.drained_at is not None:
        why = f": {facts.drain_reason}" if facts.drain_reason else "."
        message = f"The queue {facts.queue} is drained by {facts.drained_by}; it runs what it holds, this task too{why}"
        yield Cause(reason="draining", message=message, since=facts.drained_at)


def _limited(facts: Facts) -> Iterator[Cause]:
    if facts.run_at is not None and facts.run_at > facts.now:
        return
    full = [limit for limit in facts.limits if limit.concurrency and limit.taken >= limit.concurrency]
    for limit in full:
        yield Cause(
            reason="limit",
            message=f"{limit.taken} of {limit.concurrency} places of the {limit.kind} {limit.name} are taken; {_ahead(facts)}.",
            since=facts.run_at,
            remedy=f"opsplane limit set {limit.kind} {limit.name} --concurrency {2 * (limit.concurrency or 1)}",
        )
    paced = [limit for limit in facts.limits if limit.rate]
    for limit in paced:
        message = f"{limit.rate} tasks of the {limit.kind} {limit.name} start in {limit.per_seconds:g} s; {_ahead(facts)}."
        yield Cause(reason="limit", message=message, since=facts.run_at)
    if not full and not paced:
        message = f"The dispatcher lets it go when its turn comes; {_ahead(facts)}."
        yield Cause(reason="turn", message=message, since=facts.run_at)


def _ahead(facts: Facts) -> str:
    return f"{_many(facts.ahead)} tasks of the tenant {facts.tenant} in the queue {facts.queue} come first"


def _many(count: int) -> str:
    return f"{count}" if count < COUNTED else f"{COUNTED} or more"


def _its_turn(facts: Facts) -> Iterator[Cause]:
    if facts.run_at is not None and facts.run_at > facts.now:
        return
    if facts.task_type == BULK:
        message = f"The operations role does bulk actions one after another; {_many(facts.ahead)} come first."
        yield Cause(reason="behind" if facts.ahead else "soon", message=message, since=facts.run_at)
        return
    full = f"{facts.running} of {facts.slots} places of its {facts.workers} workers are taken"
    if facts.ahead:
        message = f"{_many(facts.ahead)} tasks of the queue {facts.queue} come first; {full}."
        yield Cause(reason="behind", message=message, since=facts.run_at)
    elif facts.running >= facts.slots:
        yield Cause(reason="busy", message=f"It is the next of its queue; {full}.", since=facts.run_at)
    else:
        message = f"Nothing holds it up: it starts within a second; {full}."
        yield Cause(reason="soon", message=message, since=facts.run_at)

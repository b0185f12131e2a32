"""How an attempt ended, and what becomes of its task."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

import msgspec

from opsplane.resilience import Retry
from opsplane.tasks.context import Claim, TaskContext
from opsplane.tasks.errors import Cancelled, Reject, Snooze
from opsplane.tasks.states import Code
from opsplane.tasks.task import ResultFile
from opsplane.tasks.task_type import TaskType


class Ending(Enum):
    """What becomes of a task when an attempt ends."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TRY_AGAIN = "attempt_failed"  # with a retry left, counted
    SNOOZED = "snoozed"
    RESCUED = "rescued"  # its worker died
    HANDED_BACK = "handed_back"  # its worker stops, or its queue was paused


MESSAGE_LIMIT = 2000
FINAL = {Ending.COMPLETED: Code.COMPLETED, Ending.FAILED: Code.FAILED, Ending.CANCELLED: Code.CANCELLED}


class Attempted(msgspec.Struct, frozen=True, kw_only=True):
    """What must be known of an attempt to end it."""

    id: str
    token: int
    task_type: str
    attempt: int
    emit: int
    queue: str
    worker: int | None
    claimed_at: datetime
    entity_type: str | None = None
    requested_by: str | None = None
    traceparent: str | None = None
    parent_id: str | None = None


_FACTS = frozenset(Attempted.__struct_fields__)


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt failed elsewhere; `after` are seconds until it is tried again, None leaves them to its type."""

    kind: str
    message: str
    retry: bool = True
    after: float | None = None


class Outcome(msgspec.Struct, kw_only=True):
    """The end of one attempt. `delay` are the microseconds from claim to start, None when it never started."""

    attempted: Attempted
    ending: Ending
    delay: int | None = 0
    total: int | None = None
    done: int | None = None
    failed: int | None = None
    message: str | None = None
    error_kind: str | None = None
    error_message: str | None = None
    result: Any = None
    result_file: ResultFile | None = None
    error_file: ResultFile | None = None
    pause: float = 0.0  # seconds until it is due again

    @property
    def plain(self) -> bool:
        """A completion that has nothing to tell."""
        return (
            self.ending is Ending.COMPLETED
            and self.attempted.emit == 0
            and self.attempted.parent_id is None
            and self.done is None
            and self.result is None
            and self.result_file is None
            and self.error_file is None
            and self.message is None
        )


def attempted(claim: Claim) -> Attempted:
    """What of a claim is needed to end its attempt."""
    return Attempted(
        id=claim.id,
        token=claim.token,
        task_type=claim.task_type,
        attempt=claim.attempt,
        emit=claim.emit,
        queue=claim.queue,
        worker=claim.worker,
        claimed_at=claim.claimed_at,
        entity_type=claim.entity_type,
        requested_by=claim.requested_by,
        traceparent=claim.traceparent,
        parent_id=claim.parent_id,
    )


def outcome_of_row(row: Mapping[str, Any], **facts: Any) -> Outcome:
    """The outcome of the running attempt a locked row of `task` tells of, which began in another process."""
    found = msgspec.convert({name: row[name] for name in _FACTS if name in row}, Attempted)
    began = row["started_at"]
    delay = 0 if began is None else int((began - row["claimed_at"]).total_seconds() * 1e6)
    return Outcome(attempted=found, delay=max(0, delay), **facts)


def outcome_of(context: TaskContext, ending: Ending, **facts: Any) -> Outcome:
    """The outcome of the context's attempt, with the counts it told last."""
    told = context.done or context.failed or context.total is not None
    return Outcome(
        attempted=attempted(context.claim),
        ending=ending,
        delay=context.delay,
        total=context.total,
        done=context.done if told else None,
        failed=context.failed if told else None,
        message=context.message,
        error_file=context.error_file,
        **facts,
    )


def outcome_of_error(
    kind: TaskType, retry_count: int, max_retries: int, error: BaseException
) -> dict[str, Any]:
    """Ending, error and pause of an attempt that raised `error`, as fields of an `Outcome`."""
    if isinstance(error, Snooze):
        return {"ending": Ending.SNOOZED, "pause": error.seconds}
    told = {"error_kind": type(error).__name__, "error_message": _said(error)}
    if isinstance(error, Cancelled):
        return {"ending": Ending.CANCELLED}
    if isinstance(error, Reject):
        return {"ending": Ending.FAILED, **told}
    retry = kind.retry_for(error)
    allowed = max_retries if retry is kind.retry else min(retry.attempts, max_retries)
    return {**_again(retry, retry_count, allowed), **told}


def outcome_of_failure(
    kind: TaskType | None, retry_count: int, max_retries: int, failure: Failure
) -> dict[str, Any]:
    """Ending, error and pause of an attempt that failed elsewhere, as fields of an `Outcome`.

    A type that is declared no more (`kind` None) has no retries.
    """
    told = {"error_kind": failure.kind, "error_message": failure.message[:MESSAGE_LIMIT]}
    if kind is None or not failure.retry:
        return {"ending": Ending.FAILED, **told}
    found = _again(kind.retry, retry_count, max_retries)
    if found["ending"] is Ending.TRY_AGAIN and failure.after is not None:
        found["pause"] = failure.after
    return {**found, **told}


def _again(retry: Retry, retry_count: int, allowed: int) -> dict[str, Any]:
    if retry_count >= allowed:
        return {"ending": Ending.FAILED}
    pause = retry.delay(min(retry_count + 1, retry.attempts)) if retry.attempts else 1.0
    return {"ending": Ending.TRY_AGAIN, "pause": pause or 0.0}


def _said(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:MESSAGE_LIMIT]

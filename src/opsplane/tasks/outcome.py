"""How an attempt ended, and writing it down: fenced by the claim, with what happened and what is published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import msgspec

from opsplane.database import Connection, sql
from opsplane.events import Event, Outbox
from opsplane.resilience import Retry
from opsplane.tasks.announce import begun_event, publish, task_event, wanted
from opsplane.tasks.context import Claim, TaskContext
from opsplane.tasks.errors import Cancelled, Reject, Snooze
from opsplane.tasks.events import Happened, append_events
from opsplane.tasks.states import Code
from opsplane.tasks.tallying import Child, tally_children
from opsplane.tasks.task import ResultFile, TaskType


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


async def settle(tx: Connection, outbox: Outbox | None, outcomes: Sequence[Outcome]) -> set[int]:
    """Write the outcomes in the caller's transaction; the tokens of those whose claim still held.

    The others change nothing: their tasks were taken away meanwhile.
    """
    finished = [outcome for outcome in outcomes if outcome.ending in FINAL]
    again = [outcome for outcome in outcomes if outcome.ending not in FINAL]
    held = await _finish(tx, outbox, finished) if finished else set()
    return held | await _put_back(tx, outbox, again) if again else held


async def _finish(tx: Connection, outbox: Outbox | None, outcomes: Sequence[Outcome]) -> set[int]:
    rows = await (await tx.execute(sql(__package__, "finish_tasks"), _finishing(outcomes))).fetchall()
    await tally_children(
        tx, [Child(row["id"], row["parent_id"], row["status"]) for row in rows if row["parent_id"]]
    )
    told = {outcome.attempted.token: outcome for outcome in outcomes}
    if outbox is not None:
        source = outbox.source
        await publish(
            outbox, tx, (event for row in rows for event in _announcements(source, told[row["token"]], row))
        )
    return {row["token"] for row in rows}


async def _put_back(tx: Connection, outbox: Outbox | None, outcomes: Sequence[Outcome]) -> set[int]:
    rows = await (await tx.execute(sql(__package__, "put_back"), _returning(outcomes))).fetchall()
    announced = {row["token"]: row["announced"] for row in rows}
    held = [outcome for outcome in outcomes if outcome.attempted.token in announced]
    started = [outcome for outcome in held if outcome.delay is not None]
    await append_events(tx, [event for outcome in started for event in _past(outcome)])
    if outbox is not None:
        source = outbox.source
        await publish(
            outbox,
            tx,
            [
                started_event(source, one)
                for one in started
                if _unannounced(one, announced[one.attempted.token])
            ],
        )
    return {outcome.attempted.token for outcome in held}


def _finishing(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "ids": [one.attempted.id for one in outcomes],
        "tokens": [one.attempted.token for one in outcomes],
        "delays": [one.delay for one in outcomes],
        "statuses": [FINAL[one.ending] for one in outcomes],
        "totals": [one.total for one in outcomes],
        "processed": [one.done for one in outcomes],
        "failed": [one.failed for one in outcomes],
        "messages": [_clean(one.message) for one in outcomes],
        "error_kinds": [one.error_kind for one in outcomes],
        "error_messages": [_clean(one.error_message) for one in outcomes],
        "results": [_json(one.result) for one in outcomes],
        "result_files": [_json(one.result_file) for one in outcomes],
        "error_files": [_json(one.error_file) for one in outcomes],
    }


def _returning(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {
        "ids": [one.attempted.id for one in outcomes],
        "tokens": [one.attempted.token for one in outcomes],
        "delays": [one.pause for one in outcomes],
        "retries": [int(one.ending is Ending.TRY_AGAIN) for one in outcomes],
        "attempts": [-int(one.delay is None) for one in outcomes],
        "rescues": [int(one.ending is Ending.RESCUED) for one in outcomes],
        "error_kinds": [one.error_kind for one in outcomes],
        "error_messages": [_clean(one.error_message) for one in outcomes],
    }


def started_event(source: str, outcome: Outcome) -> Event[Any]:
    """The event `operations.task.started` of the outcome's attempt."""
    return begun_event(source, outcome.attempted, outcome.delay or 0)


def _unannounced(outcome: Outcome, announced: bool) -> bool:
    """Whether its start is to be published: no report did, not even one that was under way when the attempt ended."""
    return not announced and outcome.delay is not None and wanted("started", outcome.attempted.emit)


def _announcements(source: str, outcome: Outcome, row: Mapping[str, Any]) -> Iterator[Event[Any]]:
    one, kind = outcome.attempted, outcome.ending.value
    if _unannounced(outcome, row["announced"]):
        yield started_event(source, outcome)
    if not wanted(kind, one.emit):
        return
    facts: dict[str, Any] = {}
    if outcome.ending is Ending.COMPLETED:
        file = outcome.result_file
        counts = {
            "totalRecords": outcome.total,
            "processedRecords": outcome.done,
            "failedRecords": outcome.failed,
        }
        facts = {**counts, "resultFile": file and file.file_name}
    elif outcome.ending is Ending.FAILED:
        facts = {"error": outcome.error_kind, "message": outcome.error_message}
    else:
        facts = {"cancelledBy": row["cancel_requested_by"]}
    if row["started_at"] is not None:
        facts["durationMs"] = round((row["completed_at"] - row["started_at"]).total_seconds() * 1000)
    yield task_event(
        source,
        kind,
        one.id,
        one.task_type,
        at=row["completed_at"],
        traceparent=one.traceparent,
        entityType=one.entity_type,
        requestedBy=one.requested_by,
        queue=one.queue,
        attempt=one.attempt,
        **facts,
    )


def _past(outcome: Outcome) -> Iterator[Happened]:
    one = outcome.attempted
    began: datetime = one.claimed_at + timedelta(microseconds=outcome.delay or 0)
    yield Happened(one.id, began, "started", one.attempt, f"worker {one.worker}")
    detail = {"error": outcome.error_kind, "message": outcome.error_message, "againIn": outcome.pause or None}
    told = {name: value for name, value in detail.items() if value is not None}
    yield Happened(one.id, None, outcome.ending.value, one.attempt, None, told or None)


def _said(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:MESSAGE_LIMIT]


def _clean(text: str | None) -> str | None:
    return text.replace("\x00", "\ufffd") if text else text


def _json(value: Any) -> str | None:
    if value is None:
        return None
    return msgspec.json.encode(value).decode().replace("\\u0000", "\ufffd")

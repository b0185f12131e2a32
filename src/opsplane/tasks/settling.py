"""Writing down how attempts ended: fenced by their claims, with what happened and what is published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from opsplane.database import Connection, sql
from opsplane.events import Event, Outbox
from opsplane.tasks.announce import begun_event, publish, task_event, wanted
from opsplane.tasks.events import Happened, append_events
from opsplane.tasks.outcome import FINAL, Ending, Outcome
from opsplane.tasks.tallying import Child, tally_children


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


def _clean(text: str | None) -> str | None:
    return text.replace("\x00", "\ufffd") if text else text


def _json(value: Any) -> str | None:
    if value is None:
        return None
    return msgspec.json.encode(value).decode().replace("\\u0000", "\ufffd")

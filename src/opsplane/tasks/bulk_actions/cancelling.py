"""Cancelling many tasks: two statements for a batch, with the events, the counts and the bells of single cancels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opsplane.clock import Clock
from opsplane.database import Connection, sql
from opsplane.events import Outbox
from opsplane.tasks import channels
from opsplane.tasks.announce import publish, task_event, wanted
from opsplane.tasks.bulk_actions.bells import Ring
from opsplane.tasks.bulk_actions.place import Did
from opsplane.tasks.bulk_actions.wanted import ASKED, UNCLAIMED, BulkParams
from opsplane.tasks.events import Happened, append_events
from opsplane.tasks.states import Code
from opsplane.tasks.tallying import Child, tally_children


async def cancel_batch(
    tx: Connection, outbox: Outbox | None, clock: Clock, ring: Ring, asked: BulkParams, ids: Sequence[str]
) -> Did:
    """Cancel those that no worker has and ask those that run to stop, as far as nobody else has them locked."""
    statuses = asked.parameters()["statuses"]
    told = {"ids": list(ids), "actor": asked.actor}
    gone = await _rows(tx, "cancel_unclaimed", {**told, "statuses": _among(UNCLAIMED, statuses)})
    running = await _rows(tx, "ask_running", {**told, "statuses": _among(ASKED, statuses)})
    children = [Child(row["id"], row["parent_id"], Code.CANCELLED) for row in gone if row["parent_id"]]
    await tally_children(tx, children)
    await _publish(tx, outbox, asked.actor, gone)
    now = clock.now()
    await append_events(
        tx, [Happened(row["id"], now, "cancel_requested", row["attempt"], asked.actor) for row in running]
    )
    for row in running:
        ring(channels.CONTROL, f"cancel {row['id']}")
    if children or any(row["status"] == Code.JOINING for row in running):
        ring(channels.TALLY, "")
    return Did(cancelled=tuple(row["id"] for row in gone), asked=tuple(row["id"] for row in running))


def _among(codes: Sequence[int], statuses: Sequence[int]) -> list[int]:
    return [code for code in codes if code in statuses]


async def _publish(
    tx: Connection, outbox: Outbox | None, actor: str, rows: Sequence[Mapping[str, Any]]
) -> None:
    if outbox is None:
        return
    told = [row for row in rows if wanted("cancelled", row["emit"])]
    await publish(
        outbox,
        tx,
        (
            task_event(
                outbox.source,
                "cancelled",
                row["id"],
                row["task_type"],
                at=row["completed_at"],
                requestedBy=row["requested_by"],
                cancelledBy=actor,
            )
            for row in told
        ),
    )


async def _rows(tx: Connection, name: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    return await (await tx.execute(sql(__package__, name), parameters)).fetchall()

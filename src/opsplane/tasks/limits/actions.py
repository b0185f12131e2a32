"""What an operator does with limits and the settings of queues; the API and the command line are made from these."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from opsplane.action import Action, Preview
from opsplane.tasks.actions import STAFF, find_queue
from opsplane.tasks.limits.book import LimitBook
from opsplane.tasks.limits.limit import Kind, LimitState, NewLimit
from opsplane.tasks.store import QueueState, TaskStore


@dataclass(frozen=True, slots=True)
class LimitHand:
    """What an action on limits works with; `actor` is noted with the limit."""

    book: LimitBook
    store: TaskStore
    actor: str


class LimitTarget(msgspec.Struct, frozen=True):
    """The limit meant, and why."""

    kind: Kind
    name: str
    reason: str | None = None


class QueueSettings(msgspec.Struct, frozen=True):
    """A queue's weight, and whether its tenants take turns; None leaves it as it is."""

    queue: str
    weight: float | None = None
    fair: bool | None = None


async def _preview_put(hand: LimitHand, new: NewLimit) -> Preview:
    there = [one for one in await hand.book.all() if (one.kind, one.name) == (new.kind, new.name)]
    return Preview(f"{'Change' if there else 'Set'} the limit of the {new.kind} {new.name}.", len(there))


async def _preview_delete(hand: LimitHand, target: LimitTarget) -> Preview:
    limit = await hand.book.get(target.kind, target.name)
    return Preview(
        f"Lift the limit of the {limit.kind} {limit.name}, behind which {limit.held} tasks wait.", limit.held
    )


async def _preview_queue(hand: LimitHand, settings: QueueSettings) -> Preview:
    queue = await find_queue(hand.store, settings.queue)
    waiting = queue.pending if queue else 0
    return Preview(
        f"Change the settings of the queue {settings.queue}, in which {waiting} tasks wait.", waiting
    )


async def _put(hand: LimitHand, new: NewLimit) -> LimitState:
    await hand.book.put(new, hand.actor)
    return await hand.book.get(new.kind, new.name)


async def _delete(hand: LimitHand, target: LimitTarget) -> None:
    await hand.book.delete(target.kind, target.name)


async def _set_queue(hand: LimitHand, settings: QueueSettings) -> QueueState | None:
    await hand.book.set_queue(settings.queue, weight=settings.weight, fair=settings.fair)
    return await find_queue(hand.store, settings.queue)


put = Action("limit.put", STAFF, "Set or change a limit.", NewLimit, _preview_put, _put)
delete = Action("limit.delete", STAFF, "Lift a limit.", LimitTarget, _preview_delete, _delete)
set_queue = Action(
    "queue.set", STAFF, "Change a queue's settings.", QueueSettings, _preview_queue, _set_queue
)

"""What an operator does with tasks and queues; the API and the command line are made from these."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from opsplane.action import Action, Preview
from opsplane.errors import NotFound
from opsplane.tasks.control import TaskControl
from opsplane.tasks.states import move
from opsplane.tasks.store import QueueState, TaskStore
from opsplane.tasks.task import Task

STAFF = "operations_staff"
OWNER = "task_owner"  # held for the time of one action by whoever requested the task, and by staff


@dataclass(frozen=True, slots=True)
class Hand:
    """What an action on tasks works with; `actor` is noted in the task's own events."""

    control: TaskControl
    store: TaskStore
    actor: str


class TaskTarget(msgspec.Struct, frozen=True):
    """The task meant."""

    task_id: str


class QueueTarget(msgspec.Struct, frozen=True):
    """The queue meant, and why."""

    queue: str
    reason: str | None = None


async def _preview_cancel(hand: Hand, target: TaskTarget) -> Preview:
    return await _preview(hand, target, "cancel", "Cancel")


async def _preview_retry(hand: Hand, target: TaskTarget) -> Preview:
    return await _preview(hand, target, "retry", "Run again")


async def _preview(hand: Hand, target: TaskTarget, verb: str, words: str) -> Preview:
    task = await hand.store.get(target.task_id)
    move(verb, task.status, task.id)
    sample = {
        "id": task.id,
        "taskType": task.task_type,
        "status": str(task.status),
        "message": task.error_message,
    }
    return Preview(f"{words} the {task.task_type} task {task.id}, which is {task.status}.", 1, [sample])


async def _cancel(hand: Hand, target: TaskTarget) -> Task:
    return await hand.control.cancel(target.task_id, hand.actor)


async def _retry(hand: Hand, target: TaskTarget) -> Task:
    return await hand.control.retry(target.task_id, hand.actor)


async def _preview_pause(hand: Hand, target: QueueTarget) -> Preview:
    return await _preview_queue(hand, target, "Pause")


async def _preview_drain(hand: Hand, target: QueueTarget) -> Preview:
    return await _preview_queue(hand, target, "Drain")


async def _preview_resume(hand: Hand, target: QueueTarget) -> Preview:
    return await _preview_queue(hand, target, "Resume")


async def _preview_queue(hand: Hand, target: QueueTarget, word: str) -> Preview:
    queue = await find_queue(hand.store, target.queue)
    waiting = queue.pending if queue else 0
    sample = [msgspec.to_builtins(queue)] if queue else []
    return Preview(f"{word} the queue {target.queue}, in which {waiting} tasks wait.", waiting, sample)


async def _pause(hand: Hand, target: QueueTarget) -> QueueState | None:
    await hand.control.pause(target.queue, hand.actor, target.reason)
    return await find_queue(hand.store, target.queue)


async def _drain(hand: Hand, target: QueueTarget) -> tuple[QueueState, bool]:
    closed = await hand.control.drain(target.queue, hand.actor, target.reason)
    queue = await find_queue(hand.store, target.queue)
    if queue is None:
        raise NotFound(f"The queue {target.queue} was forgotten while it was drained.")
    return queue, closed


async def _resume(hand: Hand, target: QueueTarget) -> QueueState | None:
    await hand.control.resume(target.queue)
    return await find_queue(hand.store, target.queue)


async def find_queue(store: TaskStore, name: str) -> QueueState | None:
    """The queue of this name; None when it has neither settings nor unfinished tasks."""
    return next((queue for queue in await store.queues() if queue.name == name), None)


cancel = Action("task.cancel", OWNER, "Cancel a task.", TaskTarget, _preview_cancel, _cancel)
retry = Action("task.retry", OWNER, "Run a failed task again.", TaskTarget, _preview_retry, _retry)
drain = Action("queue.drain", STAFF, "Have a queue take no new tasks.", QueueTarget, _preview_drain, _drain)
pause = Action("queue.pause", STAFF, "Stop claims from a queue.", QueueTarget, _preview_pause, _pause)
resume = Action(
    "queue.resume", STAFF, "Let a paused or drained queue run again.", QueueTarget, _preview_resume, _resume
)

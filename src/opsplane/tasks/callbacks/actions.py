"""What a task's requester and operators do with its callback; the API and the command line are made from these."""

from __future__ import annotations

from opsplane.action import Action, Preview
from opsplane.tasks.actions import OWNER, Hand, TaskTarget
from opsplane.tasks.callbacks.book import Callback, CallbackBook


async def _preview_retry(hand: Hand, target: TaskTarget) -> Preview:
    task = await hand.store.get(target.task_id)
    found = await CallbackBook(hand.store.pool).of(task)
    return Preview(f"Tell the end of task {task.id} to its callback, which is {found.state}.", 1)


async def _retry(hand: Hand, target: TaskTarget) -> Callback:
    return await CallbackBook(hand.store.pool).try_again(await hand.store.get(target.task_id))


retry = Action("callback.retry", OWNER, "Send a callback again.", TaskTarget, _preview_retry, _retry)

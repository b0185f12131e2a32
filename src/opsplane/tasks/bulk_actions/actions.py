"""What an operator does with many tasks at once; the API and the command line are made from these."""

from __future__ import annotations

from opsplane.action import Action, Preview
from opsplane.tasks.actions import STAFF
from opsplane.tasks.bulk_actions.book import BulkBook
from opsplane.tasks.bulk_actions.wanted import BulkAction, BulkParams
from opsplane.tasks.task import Task

_WORDS = {"cancel": "Cancel", "retry": "Run again"}


async def _preview(book: BulkBook, asked: BulkParams) -> Preview:
    sample = [
        {"id": task.id, "taskType": task.task_type, "status": str(task.status), "message": task.error_message}
        for task in await book.sample(asked)
    ]
    return Preview(f"{_WORDS[asked.action]} {asked.matched} tasks.", asked.matched, sample)


async def _start(book: BulkBook, asked: BulkParams) -> Task:
    return await book.start(asked)


def bulk_action(action: BulkAction) -> Action[BulkBook, BulkParams, Task]:
    """The action of this name."""
    summary = f"{_WORDS[action]} every task that matches a filter."
    return Action(f"task.bulk.{action}", STAFF, summary, BulkParams, _preview, _start, dangerous=True)

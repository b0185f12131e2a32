"""The rows an import refused, corrected: a child task that imports what its error file has become."""

from __future__ import annotations

from typing import Any

from opsplane.errors import Conflict, InvalidInput
from opsplane.tasks.states import Status
from opsplane.tasks.task import Task


class NothingToCorrect(Conflict):
    """The import has no refused rows that could be imported by themselves."""


def corrected_params(task: Task) -> dict[str, Any]:
    """The parameters of an import of the task's error file, as a person has corrected it.

    They are the task's own, but for how its file was written: an error file is UTF-8, has commas, and an apostrophe
    before what a spreadsheet would take for a formula; what a person's program makes of the first two is guessed.
    Raises `InvalidInput` for a task that is no import, `NothingToCorrect` when it is not finished, has no error file,
    or did not apply its good rows.
    """
    if not task.task_type.endswith(".import"):
        raise InvalidInput(
            f"Task {task.id} is of the type {task.task_type}: only imports refuse rows.", task_id=task.id
        )
    if task.completed_at is None or task.error_file is None:
        told = f"is {task.status}" if task.completed_at is None else "refused no rows"
        raise NothingToCorrect(f"Task {task.id} {told}: there is nothing to correct.", task_id=task.id)
    if task.status is not Status.COMPLETED or task.params.get("policy") != "skip":
        raise NothingToCorrect(
            f"Task {task.id} applied none of its rows: those of the error file are not all that is missing.",
            remedy="Correct them in the whole file and import that, or import it with the policy skip first.",
            task_id=task.id,
        )
    return {**task.params, "delimiter": None, "encoding": None, "unguard": True}

"""What a handler may raise, and what the engine refuses."""

from __future__ import annotations

from opsplane.errors import Conflict, InvalidInput, NotFound, OpsplaneError


class TaskNotFound(NotFound):
    """There is no task of this id, or the caller may not know that there is."""


class UnknownTaskType(InvalidInput):
    """No service declares this task type."""


class DuplicateTask(Conflict):
    """An unfinished task has the same unique key."""


class QueueDraining(Conflict):
    """The queue takes no new tasks: it is being drained."""


class IdempotencyConflict(Conflict):
    """The idempotency key was used for another request."""


class Fenced(Conflict):
    """The claim is no longer this attempt's: the task was taken away, so the write was refused."""


class Reject(OpsplaneError):
    """Raised by a handler: the task fails now, without retry."""


class StepRefused(Reject):
    """A step's name was used before in the attempt, or its result cannot be kept; trying again would not help."""


class ChildrenFailed(Reject):
    """More children of a fan-out failed than its policy allows; raised in the parent when all are done."""


class WaitsForChildren(BaseException):
    """Ends the attempt of a handler that fanned out; the engine's own, to be let pass."""


class Snooze(Exception):
    """Raised by a handler: run the task again after `seconds`; not counted as a retry."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"again in {seconds:g} s")
        self.seconds = seconds


class Cancelled(OpsplaneError):
    """Cancelling was asked for; raised inside the handler, which lets it pass."""


class TimedOut(OpsplaneError):
    """The attempt took longer than its timeout."""


class WorkerLost(OpsplaneError):
    """The worker that ran the attempt ended without a word."""


class OtherDatabase(OpsplaneError):
    """The transaction is not one of the operations database, so the task cannot be completed in it."""

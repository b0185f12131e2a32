"""The life of a task: one written table of transitions; anything else is refused and changes nothing."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from opsplane.errors import Conflict


class Status(StrEnum):
    """Where a task stands. `scheduled` becomes `pending` by the clock alone, when its time comes."""

    SCHEDULED = "scheduled"
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class IllegalTransition(Conflict):
    """The task's status forbids what was asked; the task is as it was."""


class Transition(NamedTuple):
    """From which states a verb leads, and to which."""

    sources: frozenset[Status]
    target: Status


def _from(*sources: Status, to: Status) -> Transition:
    return Transition(frozenset(sources), to)


TRANSITIONS = MappingProxyType(
    {
        "start": _from(Status.PENDING, to=Status.PROCESSING),
        "complete": _from(Status.PROCESSING, to=Status.COMPLETED),
        "fail": _from(Status.PENDING, Status.PROCESSING, to=Status.FAILED),  # pending: its upload never came
        "try_again": _from(Status.PROCESSING, to=Status.PENDING),  # failed with retries left, counted
        "snooze": _from(Status.PROCESSING, to=Status.PENDING),
        "rescue": _from(Status.PROCESSING, to=Status.PENDING),  # its worker died
        "hand_back": _from(Status.PROCESSING, to=Status.PENDING),  # its worker stops, or its queue was paused
        "join": _from(Status.PROCESSING, to=Status.PENDING),  # its children are done: it goes on
        "cancel": _from(Status.SCHEDULED, Status.PENDING, Status.PROCESSING, to=Status.CANCELLED),
        "retry": _from(Status.FAILED, to=Status.PENDING),  # asked for by a person, counted
    }
)

FINISHED = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})


def move(verb: str, status: Status, task_id: str = "") -> Status:
    """The status after `verb`; raises `IllegalTransition` where the table has no such step."""
    transition = TRANSITIONS[verb]
    if status not in transition.sources:
        allowed = ", ".join(sorted(transition.sources))
        raise IllegalTransition(
            f"Task {task_id} is {status}: {verb.replace('_', ' ')} is possible only while it is {allowed}.",
            task_id=task_id,
            status=str(status),
        )
    return transition.target


class Code:
    """How states are kept in the tables; `scheduled` is READY or HELD with a due time that lies ahead."""

    READY = 0
    PROCESSING = 1
    WAITING = 2  # not claimable: waits for its upload
    COMPLETED = 3
    FAILED = 4
    CANCELLED = 5
    JOINING = 6  # no worker has it: waits for its children
    HELD = 7  # not claimable: waits for a place under a limit, or for its tenant's turn


STATUS_OF = MappingProxyType(
    {
        Code.READY: Status.PENDING,
        Code.PROCESSING: Status.PROCESSING,
        Code.WAITING: Status.PENDING,
        Code.COMPLETED: Status.COMPLETED,
        Code.FAILED: Status.FAILED,
        Code.CANCELLED: Status.CANCELLED,
        Code.JOINING: Status.PROCESSING,
        Code.HELD: Status.PENDING,
    }
)

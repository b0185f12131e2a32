"""Which times of a schedule lead to a task: the policies on missed times and on overlap, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from opsplane.tasks.schedules.schedule import Missed, Overlap


class Decision(NamedTuple):
    """What is to happen for one time."""

    due_at: datetime
    outcome: Literal["create", "replace", "overlapped", "missed"]


def decide(
    times: Sequence[datetime],
    now: datetime,
    *,
    overlap: Overlap,
    missed: Missed,
    grace_seconds: float,
    busy: bool,
    more: bool = False,
) -> list[Decision]:
    """A decision for each of `times`, which are in order and have come.

    `busy` tells whether the last task is unfinished; `more` that further times have come beyond these. With `once`,
    a time that was not missed makes up for those that were; with `cancel`, only the latest of several leads to a task.
    """
    wanted = _wanted(times, now - timedelta(seconds=grace_seconds), missed, more=more)
    decisions = []
    latest = max(wanted, default=None)
    for due in times:
        if due not in wanted:
            decisions.append(Decision(due, "missed"))
        elif (busy and overlap == "skip") or (overlap == "cancel" and due != latest):
            decisions.append(Decision(due, "overlapped"))
        else:
            decisions.append(Decision(due, "replace" if busy and overlap == "cancel" else "create"))
            busy = True
    return decisions


def _wanted(times: Sequence[datetime], late: datetime, missed: Missed, *, more: bool) -> set[datetime]:
    if missed == "all":
        return set(times)
    on_time = {due for due in times if due >= late}
    if missed == "once" and not on_time and times and not more:
        return {times[-1]}
    return on_time

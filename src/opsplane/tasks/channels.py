"""Doorbell channels of the task engine, in the operations database; every listener polls as well."""

from __future__ import annotations

CREATED = "opsplane_tasks"  # payload: the queue that has something to claim
CONTROL = "opsplane_task_control"  # payload: `cancel ID`, or `queue NAME` after a pause or resume
TALLY = "opsplane_task_tally"  # no payload: children of a fan-out ended, or their parent was cancelled
PROGRESS = "opsplane_task_progress"  # payload: ids of tasks whose progress, log or status changed
SCHEDULES = "opsplane_task_schedules"  # no payload: a schedule was made, changed or resumed
BULK = "opsplane_task_bulk"  # no payload: a bulk action was asked for

"""Tasks: created in a transaction, claimed by workers under a lease, fenced, finished once, kept in history."""

from __future__ import annotations

from opsplane.tasks.announce import task_schemas
from opsplane.tasks.bulk_actions import BulkBook, BulkRunner
from opsplane.tasks.context import TaskContext, TaskRuntime
from opsplane.tasks.control import TaskControl
from opsplane.tasks.errors import (
    Cancelled,
    ChildrenFailed,
    Fenced,
    QueueDraining,
    Reject,
    Snooze,
    StepRefused,
    TaskNotFound,
    UnknownTaskType,
)
from opsplane.tasks.fan_out import FanOut
from opsplane.tasks.filter import TaskFilter
from opsplane.tasks.gauges import TaskGauges
from opsplane.tasks.joiner import Joiner
from opsplane.tasks.limits import Dispatcher, LimitBook, NewLimit
from opsplane.tasks.producer import Producer
from opsplane.tasks.pruner import Pruner
from opsplane.tasks.remote import RemoteWork
from opsplane.tasks.rescuer import Rescuer
from opsplane.tasks.schedules import NewSchedule, Schedule, ScheduleBook, Scheduler
from opsplane.tasks.states import TRANSITIONS, IllegalTransition, Status
from opsplane.tasks.store import QueueState, TaskEvent, TaskLog, TaskPage, TaskStore, WorkerState
from opsplane.tasks.sweeper import Sweeper
from opsplane.tasks.task import NewTask, ResultFile, Task
from opsplane.tasks.task_type import TaskType, remote_task, task
from opsplane.tasks.uploads import UploadHook, accept_upload
from opsplane.tasks.worker import Worker
from opsplane.tasks.workshop import OpenWorkshop, Workshop

__all__ = [
    "TRANSITIONS", "BulkBook", "BulkRunner", "Cancelled", "ChildrenFailed", "Dispatcher", "FanOut", "Fenced", "IllegalTransition", "Joiner", "LimitBook", "NewLimit", "NewSchedule", "NewTask",
    "OpenWorkshop", "Producer", "Pruner", "QueueDraining", "QueueState", "Reject", "RemoteWork", "Rescuer", "ResultFile", "Schedule", "ScheduleBook", "Scheduler", "Snooze", "Status", "StepRefused", "Sweeper", "Task", "TaskContext",
    "TaskControl", "TaskEvent", "TaskFilter", "TaskGauges", "TaskLog", "TaskNotFound", "TaskPage", "TaskRuntime", "TaskStore",
    "TaskType", "UnknownTaskType", "UploadHook", "Worker", "WorkerState", "Workshop", "accept_upload", "remote_task", "task",
    "task_schemas",
]  # fmt: skip

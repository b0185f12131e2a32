"""Tasks: created in a transaction, claimed by workers under a lease, fenced, finished once, kept in history."""

from __future__ import annotations

from opsplane.tasks.announce import task_schemas
from opsplane.tasks.context import TaskContext, TaskRuntime
from opsplane.tasks.control import TaskControl
from opsplane.tasks.errors import Cancelled, Fenced, Reject, Snooze, TaskNotFound, UnknownTaskType
from opsplane.tasks.producer import Producer
from opsplane.tasks.states import TRANSITIONS, IllegalTransition, Status
from opsplane.tasks.store import QueueState, TaskEvent, TaskFilter, TaskLog, TaskPage, TaskStore, WorkerState
from opsplane.tasks.task import NewTask, ResultFile, Task, TaskType, task

__all__ = [
    "TRANSITIONS", "Cancelled", "Fenced", "IllegalTransition", "NewTask", "Producer", "QueueState", "Reject",
    "ResultFile", "Snooze", "Status", "Task", "TaskContext", "TaskControl", "TaskEvent", "TaskFilter", "TaskLog",
    "TaskNotFound", "TaskPage", "TaskRuntime", "TaskStore", "TaskType", "UnknownTaskType", "WorkerState", "task",
    "task_schemas",
]  # fmt: skip

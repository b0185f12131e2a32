"""The HTTP API of tasks, `/api/v1/operations`."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Router
from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from opsplane.tasks.api import bulk_actions, callbacks, limits, queues, remote, schedules, tasks
from opsplane.tasks.api.desk import TaskDesk
from opsplane.tasks.api.live import LiveTasks
from opsplane.tasks.api.views import BASE
from opsplane.tasks.uploads import UploadHook

__all__ = ["LiveTasks", "TaskDesk", "UploadHook", "handlers"]


def handlers(desk: TaskDesk) -> Sequence[ControllerRouterHandler]:
    """The routes below `/api/v1/operations`.

    `desk.live` must run as a duty for streams to move, and `desk.remote.dealer` for remote workers to get tasks.
    """
    return [
        Router(
            BASE,
            route_handlers=[
                tasks.create_task, tasks.list_tasks, tasks.get_task, tasks.delete_task, tasks.uploaded, tasks.cancel_task,
                tasks.retry_task, tasks.retry_failed_rows, tasks.download, tasks.logs, tasks.events, tasks.steps, tasks.explain_task, tasks.stream,
                callbacks.get_callback, callbacks.retry_callback,
                queues.list_queues, queues.pause_queue, queues.drain_queue, queues.resume_queue, queues.list_workers,
                bulk_actions.cancel_tasks, bulk_actions.retry_tasks,
                limits.list_limits, limits.put_limit, limits.delete_limit, limits.put_queue,
                schedules.list_schedules, schedules.get_schedule, schedules.put_schedule, schedules.delete_schedule,
                schedules.run_schedule, schedules.pause_schedule, schedules.resume_schedule,
                remote.claim, remote.heartbeat, remote.progress, remote.complete, remote.fail, remote.leave, remote.tell_progress,
            ],
            dependencies={"desk": Provide(lambda: desk, sync_to_thread=False)},
            tags=["tasks"],
        )
    ]  # fmt: skip

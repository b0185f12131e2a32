"""The sweeper: clients only PUT, so it looks itself whether awaited files are there, and gives up on late ones."""

from __future__ import annotations

from opsplane.database import Leader, Pool, sql
from opsplane.files import ObjectStore
from opsplane.resilience import Stop
from opsplane.tasks.control import TaskControl
from opsplane.tasks.errors import TaskNotFound
from opsplane.tasks.states import IllegalTransition
from opsplane.tasks.store import TaskStore
from opsplane.tasks.uploads import UploadDiffers, UploadMissing, accept_upload
from opsplane.telemetry import get_logger

log = get_logger("tasks")
POLL = 2.0
BATCH = 500


class Sweeper:
    """A duty; any number may run, one of them acts."""

    name = "upload sweeper"

    def __init__(self, pool: Pool, objects: ObjectStore, control: TaskControl, *, poll: float = POLL) -> None:
        self._pool = pool
        self._store = TaskStore(pool)
        self._objects = objects
        self._control = control
        self._poll = poll

    async def run(self, stop: Stop) -> None:
        """Look every two seconds until `stop`."""
        leader = Leader(self._pool.dsn, self.name)
        async with leader.hold(stop) as leading:
            while leading and not await stop.wait(self._poll) and await leader.still():
                await self.sweep()

    async def sweep(self) -> int:
        """How many tasks waited; those whose file is there are claimable now, late ones failed."""
        rows = await self._pool.fetch(sql(__package__, "list_waiting"), {"limit": BATCH})
        for row in rows:
            try:
                await self._look(row["id"], overdue=row["overdue"])
            except (TaskNotFound, IllegalTransition):
                log.debug("tasks.upload_settled", task=row["id"])  # by its client, since we listed it
        return len(rows)

    async def _look(self, task_id: str, *, overdue: bool) -> None:
        task = await self._store.get(task_id)
        try:
            await accept_upload(task, self._objects, self._control)
        except UploadDiffers as error:
            log.warning("tasks.upload_differs", task=task_id, error=str(error))
        except UploadMissing:
            if overdue:
                await self._control.refuse_upload(
                    task_id, "upload_missing", "The file did not arrive in time."
                )
                log.info("tasks.upload_missing", task=task_id)

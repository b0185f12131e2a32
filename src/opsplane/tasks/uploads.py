"""Uploads: a file is accepted when it is there and is the one that was announced."""

from __future__ import annotations

import hashlib
import re

from opsplane.errors import InvalidInput
from opsplane.files import ObjectStore
from opsplane.tasks.control import TaskControl
from opsplane.tasks.errors import TaskNotFound
from opsplane.tasks.store import TaskStore
from opsplane.tasks.task import Task

_INPUT = re.compile(r"[^/]+/(?P<task>[0-9a-f-]{36})/input\.[a-z0-9]+\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


class UploadMissing(InvalidInput):
    """The task's file is not in the object store yet; the task still waits for it."""


class UploadDiffers(InvalidInput):
    """The uploaded file is not the announced one; it was removed, and the task still waits for the right one."""


async def accept_upload(task: Task, objects: ObjectStore, control: TaskControl) -> Task:
    """The task, claimable; a task that waits for no upload is returned as it is.

    Raises `UploadMissing`, and `UploadDiffers` when size or SHA-256 are not the announced ones.
    """
    if task.waits_for != "upload" or task.input_key is None:
        return task
    info = await objects.head(task.input_key)
    if info is None:
        raise UploadMissing(
            f"The file of task {task.id} is not there.", remedy="PUT it to the uploadUrl first."
        )
    problem = None
    if task.file_size not in (None, info.size):
        problem = f"it has {info.size} bytes, announced were {task.file_size}"
    elif task.sha256 is not None and await _digest(objects, task.input_key, info.etag) != task.sha256:
        problem = "its SHA-256 is not the announced one"
    if problem is not None:
        await objects.delete(task.input_key)
        raise UploadDiffers(
            f"The file of task {task.id} was refused: {problem}.", remedy="PUT the right file."
        )
    return await control.uploaded(task.id, size=info.size)


class UploadHook:
    """Awaited by the local object store after each PUT: a task's file makes the task claimable."""

    def __init__(self, store: TaskStore, objects: ObjectStore, control: TaskControl) -> None:
        self._store = store
        self._objects = objects
        self._control = control

    async def __call__(self, key: str) -> None:
        """Accept the file stored under `key`, where it is one a task waits for. Raises `UploadDiffers`."""
        match = _INPUT.match(key)
        if match is None:
            return
        try:
            task = await self._store.get(match["task"])
        except TaskNotFound:
            return
        if task.input_key == key:
            await accept_upload(task, self._objects, self._control)


async def _digest(objects: ObjectStore, key: str, etag: str) -> str:
    """The object's SHA-256: our own store's tag is one, others' are not."""
    if _SHA256.match(etag):
        return etag
    digest = hashlib.sha256()
    async for block in objects.get(key):
        digest.update(block)
    return digest.hexdigest()

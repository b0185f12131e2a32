"""Isolation `process`: the handler has a process of its own, which can be ended whatever it does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Coroutine
from tempfile import TemporaryDirectory
from typing import Any

from opsplane.tasks.attempt import Attempt
from opsplane.tasks.context import LogLine
from opsplane.tasks.executor import HandlerEnded, ProcessDied
from opsplane.tasks.executors.wire import Answer, Job, Progress, read_message
from opsplane.tasks.workshop import Workshop

PATIENCE = 1.0


class InProcess:
    """Runs each handler in a new process, which ends with its worker and whose temporary files end with it."""

    def __init__(self, workshop: Workshop, operations_dsn: str, source: str | None) -> None:
        self._workshop = workshop
        self._dsn = str.__str__(operations_dsn)
        self._source = source

    async def run(self, attempt: Attempt) -> Any:
        """What the handler returned. Raises `HandlerEnded` with the outcome of what it raised, `ProcessDied`."""
        stopping = attempt.stopping = asyncio.Event()
        with TemporaryDirectory(prefix="opsplane-task-", ignore_cleanup_errors=True) as place:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "opsplane.tasks.executors.child", place,
                stdin=PIPE, stdout=PIPE, limit=1 << 26, env={**os.environ, "TMPDIR": place},
            )  # fmt: skip
            commands = asyncio.create_task(self._command(process, attempt, stopping))
            try:
                return await self._listen(process, attempt)
            finally:
                commands.cancel()
                await _surely(_end(process))

    async def _command(self, process: Process, attempt: Attempt, stopping: asyncio.Event) -> None:
        if process.stdin is None:
            return
        job = pickle.dumps(Job(self._workshop, self._dsn, self._source, attempt.kind.name, attempt.claim))
        process.stdin.write(len(job).to_bytes(4, "big") + job)
        await process.stdin.drain()
        await stopping.wait()
        process.stdin.write(b"cancel\n")
        await process.stdin.drain()

    async def _listen(self, process: Process, attempt: Attempt) -> Any:
        context = attempt.context
        while process.stdout is not None:
            message = await read_message(process.stdout)
            match message:
                case Progress():
                    context.take_progress(message.done, message.total, message.failed, message.message)
                case LogLine():
                    context.take_line(message)
                case Answer():
                    context.error_file = message.error_file
                    context.completed = message.completed
                    if message.error is not None:
                        raise HandlerEnded(message.error)
                    return message.result
                case None:
                    break
        code = await process.wait()
        raise ProcessDied(
            f"The process of task {attempt.claim.id} ended with {code} and no answer.",
            remedy="See the worker's log; -9 is often the kernel's, for want of memory.",
        )


async def _surely(end: Coroutine[Any, Any, None]) -> None:
    """Await `end` to its end although this call is cancelled meanwhile, which is raised afterwards."""
    ending = asyncio.create_task(end)
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending
        raise


async def _end(process: Process) -> None:
    """End the process: it has answered, or must."""
    if process.stdin is not None:
        process.stdin.close()  # its end makes the child leave
    try:
        async with asyncio.timeout(PATIENCE):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):  # it ended at this very moment
            process.kill()
        await process.wait()

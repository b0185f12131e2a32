"""Isolation `thread`: the handler has a thread and an event loop of its own, so that it may block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from opsplane.tasks.attempt import Attempt
from opsplane.tasks.workshop import Workshop


class InThread:
    """Runs each handler in a new thread with a runtime of its own.

    A handler that neither awaits nor looks at its context cannot be ended by force: its attempt is ended, its thread
    lives on until it returns, and what it then writes is refused by the fence.
    """

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def run(self, attempt: Attempt) -> Any:
        """What the handler returned."""
        here = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = here.create_future()
        inside = _Inside(self._workshop, attempt, here, answer)
        threading.Thread(target=inside.run, name=f"task {attempt.claim.id}", daemon=True).start()
        try:
            return await asyncio.shield(answer)
        except asyncio.CancelledError:
            inside.cancel()
            await asyncio.wait([answer], timeout=attempt.kind.grace)
            if answer.done() and not answer.cancelled():
                answer.exception()  # it is known: the attempt was asked to end
            raise


class _Inside:
    """The thread's side."""

    def __init__(
        self,
        workshop: Workshop,
        attempt: Attempt,
        outside: asyncio.AbstractEventLoop,
        answer: asyncio.Future[Any],
    ) -> None:
        self._workshop = workshop
        self._attempt = attempt
        self._outside = outside
        self._answer = answer
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None

    def run(self) -> None:
        """Run the handler to its end and tell the worker's loop."""
        try:
            result = asyncio.run(self._handle())
        except asyncio.CancelledError:
            self._tell(self._answer.set_exception, RuntimeError("the handler was stopped"))
        except BaseException as error:  # noqa: BLE001  handed to the worker's loop, which decides
            self._tell(self._answer.set_exception, error)
        else:
            self._tell(self._answer.set_result, result)

    def cancel(self) -> None:
        """Cancel the handler from the worker's loop."""
        if self._loop is not None and self._task is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)

    async def _handle(self) -> Any:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        attempt = self._attempt
        async with self._workshop.runtime(attempt.kind.service) as runtime:
            attempt.context.runtime = runtime
            return await attempt.kind.handler(attempt.context, attempt.context.params)

    def _tell(self, setter: Callable[[Any], None], told: Any) -> None:
        def tell() -> None:
            if not self._answer.done():
                setter(told)

        if not self._outside.is_closed():
            self._outside.call_soon_threadsafe(tell)

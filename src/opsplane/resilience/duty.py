"""Duties: background loops that are kept running until told to stop, and end gracefully then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from opsplane.resilience.backoff import Backoff
from opsplane.telemetry import counter, get_logger

log = get_logger("resilience")
_failures = counter(
    "duty_failures_total", "Times a background duty ended with an error and was started again.", ["duty"]
)


class Stop:
    """A request to stop that every loop of a process looks at."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        """Ask to stop."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether stopping was asked for."""
        return self._event.is_set()

    async def wait(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109  the caller's pause, not a deadline
        """True as soon as stopping is asked for, False after `timeout` seconds without it."""
        if timeout is None:
            await self._event.wait()
            return True
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return self._event.is_set()
        return True


class Duty(Protocol):
    """One background loop: `run` returns soon after `stop` is set, with its work finished or handed back."""

    @property
    def name(self) -> str:
        """What logs and metrics call it."""
        ...

    async def run(self, stop: Stop) -> None:
        """Do the work until `stop`."""
        ...


async def run_duties(duties: Sequence[Duty], stop: Stop, *, grace: float = 20.0) -> None:
    """Run every duty until `stop`, starting a failed one again with backoff.

    Duties that have not ended `grace` seconds after the stop are cancelled.
    """
    tasks = [asyncio.create_task(_kept_running(duty, stop), name=duty.name) for duty in duties]
    if not tasks:
        await stop.wait()
        return
    try:
        await stop.wait()
        _, late = await asyncio.wait(tasks, timeout=grace)
        for task in late:
            log.warning("duty.cancelled", duty=task.get_name(), grace=grace)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _kept_running(duty: Duty, stop: Stop) -> None:
    backoff, failures = Backoff(0.2, 10.0), 0
    loop = asyncio.get_running_loop()
    while not stop.is_set():
        started = loop.time()
        try:
            await duty.run(stop)
        except Exception as error:
            failures = 1 if loop.time() - started > 30 else failures + 1
            _failures.labels(duty.name).inc()
            log.exception("duty.failed", duty=duty.name, error=f"{type(error).__name__}: {error}")
            await stop.wait(backoff.delay(failures))
        else:
            if stop.is_set():
                return
            failures = 1 if loop.time() - started > 30 else failures + 1
            log.warning("duty.ended", duty=duty.name)  # nobody asked it to: it lost its leadership, say
            await stop.wait(backoff.delay(failures))

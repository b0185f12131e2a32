from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

from opsplane.embedded.child import Child, last_lines, size
from opsplane.embedded.process import Process
from opsplane.embedded.report import Failure, Health, ProcessReport, RoleReport
from opsplane.errors import OpsplaneError
from opsplane.resilience import Backoff

PROBE_EVERY = 2.0
UNHEALTHY_AFTER = 3
STABLE_AFTER = 30.0
RESTART = Backoff(0.2, 10.0)


class Keeper:
    """Keeps one process as wanted: starts it after its dependencies, restarts it, stops it.

    A process that answers its probe no more is reported unhealthy, not restarted: what it waits for may be
    another process, and a stopped one (SIGSTOP) may hold work that only its lease decides about.
    """

    def __init__(self, process: Process, changed: Callable[[], None]) -> None:
        self.process = process
        self.wanted: tuple[str, ...] = process.switches
        self.dependencies: Sequence[Keeper] = ()
        self.ready = asyncio.Event()
        self.settled = asyncio.Event()  # as wanted, for now: ready, stopped or failed
        self.failure: Failure | None = None
        self.health: Health = "waiting"
        self.restarts = 0
        self._changed = changed
        self._nudge = asyncio.Event()
        self._child: Child | None = None
        self._members: tuple[str, ...] = ()
        self._misses: Counter[str] = Counter()
        self._since = datetime.now(UTC)
        self._seconds: float | None = None
        self._started: float | None = None

    def want(self, switches: tuple[str, ...]) -> None:
        """Run with these of the process's members from now on; with none, not at all."""
        if switches != self.wanted:
            self.wanted = switches
            self.settled.clear()
            self._nudge.set()

    async def run(self) -> None:
        """Keep the process as wanted until cancelled."""
        crashes = 0
        while True:
            self._nudge.clear()
            if not self.wanted:
                self._become("stopped")
                self.settled.set()
                await self._nudge.wait()
                continue
            failure = await self._live()
            if failure is None:
                crashes = 0
                continue
            stable = self._seconds is not None and self._uptime() > STABLE_AFTER
            crashes = 1 if stable else crashes + 1
            self.failure, self.restarts = failure, self.restarts + 1
            self._become("restarting")
            self.settled.set()
            await _either(self._nudge.wait(), RESTART.delay(crashes))

    async def stop(self) -> None:
        """Stop the process gracefully; it is gone afterwards."""
        child = self._child
        if child is None:
            self._become("stopped")
            return
        self._become("stopping")
        child.signal(child.command.stop_signal)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(child.ended(), self.process.stop_timeout)
        child.kill()
        self._child = None
        self._become("stopped")

    def report(self) -> ProcessReport:
        """The process as it is now."""
        process = self.process
        roles = [
            RoleReport(name, self._health_of(name), process.urls.get(name, "")) for name in process.members
        ]
        return ProcessReport(
            name=process.name,
            kind=process.kind,
            title=process.title or process.name,
            pid=self._child.pid if self._child else None,
            started=self._child.started if self._child else None,
            health=self.health,
            since=self._since.isoformat(timespec="milliseconds"),
            restarts=self.restarts,
            seconds=self._seconds,
            place=process.place,
            log=str(process.log),
            roles=roles,
        )

    async def _live(self) -> Failure | None:
        """One life of the process: None when it ended because something else was wanted."""
        self.ready.clear()
        self._members = self.wanted
        self._become("waiting")
        for dependency in self.dependencies:
            if not await self._unless_nudged(dependency.ready.wait()):
                return None
        began, offset = time.monotonic(), size(self.process.log)
        self._become("starting")
        try:
            await asyncio.to_thread(self.process.prepare)
            self._child = child = Child(self.process.command(self._members), self.process.log)
            self._started = time.monotonic()
            self._changed()
            if not await self._until_ready(child):
                return await self._ended(child, offset, began)
            await asyncio.to_thread(self.process.provision)
        except OpsplaneError as error:
            await self.stop()
            return Failure(self.process.name, error.message, error.remedy or "")
        except OSError as error:
            await self.stop()
            return Failure(
                self.process.name,
                f"{self.process.name} could not be started: {error}.",
                "Try: opsplane doctor",
            )
        self._seconds = round(time.monotonic() - began, 2)
        self.failure = None
        self._misses.clear()
        self._become("healthy")
        self.ready.set()
        self.settled.set()
        await self._watch(child)
        self.ready.clear()
        return await self._ended(child, offset, began)

    async def _until_ready(self, child: Child) -> bool:
        """Whether the process became ready before it ended, ran out of time or was not wanted any more."""
        end = time.monotonic() + self.process.start_timeout
        ended = asyncio.ensure_future(child.ended())
        try:
            while not ended.done() and not self._nudge.is_set() and time.monotonic() < end:
                if all(await asyncio.to_thread(self._answers)):
                    return not ended.done()
                await asyncio.wait({ended}, timeout=0.03)
        finally:
            ended.cancel()
        return False

    async def _watch(self, child: Child) -> None:
        """Return when the process ended or something else is wanted; report its health until then."""
        ended, nudged = asyncio.ensure_future(child.ended()), asyncio.ensure_future(self._nudge.wait())
        try:
            while not ended.done() and not nudged.done():
                await asyncio.wait({ended, nudged}, timeout=PROBE_EVERY, return_when=asyncio.FIRST_COMPLETED)
                if ended.done() or nudged.done():
                    return
                self._note(await asyncio.to_thread(self._answers))
        finally:
            ended.cancel()
            nudged.cancel()

    def _answers(self) -> list[bool]:
        """Whether each member that is on is ready; this may block."""
        return [self.process.ready(name) for name in self._members]

    def _note(self, answers: Sequence[bool]) -> None:
        """Remember who answered; several misses in a row make a member, and its process, unhealthy."""
        before = [self._health_of(name) for name in self._members]
        for name, answered in zip(self._members, answers, strict=True):
            self._misses[name] = 0 if answered else self._misses[name] + 1
        worst = max(self._misses.values(), default=0)
        if worst == 0 or worst >= UNHEALTHY_AFTER:
            self._become("unhealthy" if worst else "healthy")
        if before != [self._health_of(name) for name in self._members]:
            self._changed()

    def _health_of(self, member: str) -> Health:
        if member not in self._members:
            return "stopped"
        if self.health == "unhealthy":
            return "unhealthy" if self._misses[member] >= UNHEALTHY_AFTER else "healthy"
        return self.health

    async def _ended(self, child: Child, offset: int, began: float) -> Failure | None:
        """Clean up after a life; why it was a failure, None when the end was wanted."""
        code = child.exit_code
        wanted = self._nudge.is_set()
        await self.stop()
        if wanted:
            return None
        name, log = self.process.name, self.process.log
        if code is None:
            fact = f"{name} was not ready after {time.monotonic() - began:.0f} seconds."
        else:
            fact = f"{name} ended with {_meaning(code)} after {time.monotonic() - began:.1f} seconds."
        return Failure(
            name, fact, self.process.remedy or f"See all of its log: {log}", last_lines(log, 10, offset)
        )

    async def _unless_nudged(self, awaited: Coroutine[Any, Any, Any]) -> bool:
        """Whether `awaited` came true before something else was wanted."""
        task = asyncio.ensure_future(awaited)
        nudged = asyncio.ensure_future(self._nudge.wait())
        await asyncio.wait({task, nudged}, return_when=asyncio.FIRST_COMPLETED)
        done = task.done()
        task.cancel()
        nudged.cancel()
        return done

    def _uptime(self) -> float:
        return time.monotonic() - (self._started or time.monotonic())

    def _become(self, health: Health) -> None:
        if health != self.health:
            self.health, self._since = health, datetime.now(UTC)
            self._changed()


async def _either(awaited: Coroutine[Any, Any, Any], seconds: float) -> None:
    """Return when `awaited` comes true, at the latest after `seconds`."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(awaited, seconds)


def _meaning(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

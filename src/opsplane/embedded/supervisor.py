from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from opsplane.embedded import report
from opsplane.embedded.keeper import Keeper
from opsplane.embedded.process import Process
from opsplane.embedded.report import Failure, Report
from opsplane.embedded.switches import StartFailed, switched_off

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Starts the processes of one installation in order, keeps them running, stops them in reverse.

    Use it on the main thread and under `lock.held(state)`. What it does is in `run/supervisor.json`;
    SIGUSR1 makes it read `run/switched-off.json` again, the names that should not run.
    """

    def __init__(
        self, state: Path, processes: Sequence[Process], *, changed: Callable[[Report], None] | None = None
    ) -> None:
        self.state = state
        self.phase: Literal["starting", "ready", "stopping", "stopped", "failed"] = "starting"
        self._keepers = {process.name: Keeper(process, self._publish) for process in processes}
        for keeper in self._keepers.values():
            keeper.dependencies = [self._keepers[name] for name in keeper.process.after]
        self._changed = changed
        self._tasks: list[asyncio.Task[None]] = []
        self._since = datetime.now(UTC)
        self._began = time.monotonic()
        self._seconds: float | None = None
        self._failure: Failure | None = None

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Start everything, keep it running until `stop` or SIGINT or SIGTERM, stop everything.

        Raises `StartFailed` when a process does not become ready; nothing runs then.
        """
        stop = stop or asyncio.Event()
        self._read_switches()
        with self._signals(stop):
            self._tasks = [asyncio.create_task(keeper.run()) for keeper in self._keepers.values()]
            try:
                if await self._started(stop):
                    self._seconds = round(time.monotonic() - self._began, 2)
                    self._enter("ready")
                    await self._until(stop)
            finally:
                await self._shut_down()
        if self._failure is not None:
            raise StartFailed(
                self._failure.message,
                remedy=self._failure.remedy or None,
                process=self._failure.process,
                lines=self._failure.lines,
            )

    def report(self) -> Report:
        """The supervisor and its processes as they are now."""
        return Report(
            version=1,
            pid=os.getpid(),
            state=self.phase,
            since=self._since.isoformat(timespec="milliseconds"),
            seconds=self._seconds,
            processes=[keeper.report() for keeper in self._keepers.values()],
            failure=self._failure,
        )

    async def _started(self, stop: asyncio.Event) -> bool:
        """Whether every process is as wanted; False when one failed or `stop` came first."""
        stopping = asyncio.ensure_future(stop.wait())
        waiting = {asyncio.ensure_future(keeper.settled.wait()) for keeper in self._keepers.values()}
        try:
            while waiting and not stopping.done():
                done, _ = await asyncio.wait(
                    {*waiting, stopping, *self._tasks}, return_when=asyncio.FIRST_COMPLETED
                )
                self._raise_defects(done)
                waiting -= done
                self._failure = next((k.failure for k in self._keepers.values() if k.failure), None)
                if self._failure is not None:
                    return False
        finally:
            for one in (*waiting, stopping):
                one.cancel()
        return not stop.is_set()

    async def _until(self, stop: asyncio.Event) -> None:
        stopping = asyncio.ensure_future(stop.wait())
        done, _ = await asyncio.wait({stopping, *self._tasks}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        self._raise_defects(done)

    def _raise_defects(self, done: Collection[asyncio.Future[Any]]) -> None:
        """A keeper never ends by itself: if one did, what it died of is raised here."""
        for task in done:
            if task in self._tasks:
                task.result()

    async def _shut_down(self) -> None:
        """Stop the roles, then the engines they depend on; each stage at once."""
        self._enter("stopping")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for stage in self._stages():
            await asyncio.gather(*(keeper.stop() for keeper in stage))
        self._enter("failed" if self._failure else "stopped")

    def _stages(self) -> list[list[Keeper]]:
        """The keepers, those first that most others have to be ready for."""
        depths: dict[int, list[Keeper]] = {}
        for keeper in self._keepers.values():
            depths.setdefault(_depth(keeper), []).append(keeper)
        return [depths[depth] for depth in sorted(depths, reverse=True)]

    def _read_switches(self) -> None:
        off = switched_off(self.state)
        for keeper in self._keepers.values():
            keeper.want(tuple(name for name in keeper.process.switches if name not in off))

    @contextlib.contextmanager
    def _signals(self, stop: asyncio.Event) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGUSR1, self._read_switches)
        try:
            yield
        finally:
            for number in (*STOP_SIGNALS, signal.SIGUSR1):
                loop.remove_signal_handler(number)

    def _enter(self, phase: Literal["starting", "ready", "stopping", "stopped", "failed"]) -> None:
        self.phase, self._since = phase, datetime.now(UTC)
        self._publish()

    def _publish(self) -> None:
        current = self.report()
        report.write_report(self.state, current)
        if self._changed is not None:
            self._changed(current)


def _depth(keeper: Keeper) -> int:
    return 1 + max((_depth(dependency) for dependency in keeper.dependencies), default=-1)

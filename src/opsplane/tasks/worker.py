"""The worker: claims under a lease, runs handlers in lanes, reports, completes, and gives everything back at the end.

wanted → claim → lane → executor → outcome → completer; beside it reports, cancels, timeouts, lost claims.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from os import cpu_count

import psycopg

from opsplane.database import Bell, Doorbell, Pool, sql
from opsplane.errors import Unavailable
from opsplane.events import Outbox
from opsplane.resilience import Backoff, Stop
from opsplane.tasks import channels
from opsplane.tasks.attempt import Attempt
from opsplane.tasks.claimer import ClaimSession, Queues
from opsplane.tasks.completing import Completer
from opsplane.tasks.errors import WorkerLost
from opsplane.tasks.executor import Executor
from opsplane.tasks.executors import InLoop, InProcess, InThread
from opsplane.tasks.lane import Lane
from opsplane.tasks.lease import Lease
from opsplane.tasks.outcome import Ending
from opsplane.tasks.reporting import GAP, Reporter
from opsplane.tasks.task_type import TaskType
from opsplane.tasks.workshop import Workshop
from opsplane.telemetry import gauge, get_logger

log = get_logger("tasks")
SLOTS = 50
POLL = 1.0
STOP_GRACE = 5.0
_UNREACHABLE = (psycopg.OperationalError, psycopg.InterfaceError, Unavailable)
_slots = gauge("worker_slots", "Places for running tasks, by whether they are taken.", ["state"])


class Worker:
    """A duty that runs the tasks of a workshop's types but remote ones; any number of them may run anywhere.

    `pool` is of the operations database and must reach it directly, not through a transaction pooler. `slots` is how
    many tasks run at once in the loop and in threads, `processes` how many in processes of their own.
    """

    def __init__(
        self,
        pool: Pool,
        workshop: Workshop,
        *,
        outbox: Outbox | None = None,
        doorbell: Doorbell,
        slots: int = SLOTS,
        processes: int | None = None,
        name: str = "worker",
    ) -> None:
        self.name = name
        self._pool = pool
        self._workshop = workshop
        self._outbox = outbox
        self._doorbell = doorbell
        self._slots = slots
        self._processes = processes or cpu_count() or 1

    async def run(self, stop: Stop) -> None:
        """Work until `stop`, then give running tasks five seconds and hand back the others.

        Raises `WorkerLost` when its tasks were taken away because it seemed dead; run it again.
        """
        async with AsyncExitStack() as stack:
            shift = await self._shift(stack)
            log.info(
                "tasks.worker_started", worker=shift.lease.number, types=len(shift.types), slots=self._slots
            )
            async with asyncio.TaskGroup() as group:
                group.create_task(shift.completer.run(), name="task completions")
                await shift.work(stop)
                shift.completer.close()

    async def _shift(self, stack: AsyncExitStack) -> Shift:
        types = {kind.name: kind for kind in self._workshop.types() if not kind.remote}
        runtimes = {
            service: await stack.enter_async_context(self._workshop.runtime(service))
            for service in {kind.service for kind in types.values()}
        }
        shift = Shift(self._pool, self._outbox, self._doorbell, types)
        executors: Mapping[str, Executor] = {
            "async": InLoop(),
            "thread": InThread(self._workshop),
            "process": InProcess(
                self._workshop, self._pool.dsn, self._outbox.source if self._outbox else None
            ),
        }
        lane = partial(
            Lane,
            queues=shift.queues,
            executors=executors,
            runtimes=runtimes,
            reports=shift.reporter,
            completer=shift.completer,
        )
        light = {name: kind for name, kind in types.items() if kind.isolation != "process"}
        heavy = {name: kind for name, kind in types.items() if kind.isolation == "process"}
        if light:
            shift.lanes.append(lane(light, self._slots))
        if heavy:
            shift.lanes.append(lane(heavy, self._processes, begin=shift.announce))
        await stack.enter_async_context(shift.leased(self.name))
        return shift


class Shift:
    """One registration of a worker, from taking its lease to leaving it."""

    def __init__(
        self, pool: Pool, outbox: Outbox | None, doorbell: Doorbell, types: Mapping[str, TaskType]
    ) -> None:
        self.types = types
        self.queues = Queues(kind.queue_name for kind in types.values())
        self.completer = Completer(pool, outbox, doorbell)
        self.reporter = Reporter(pool, outbox, doorbell, types.values())
        self.lanes: list[Lane] = []
        self.lease: Lease
        self._pool = pool
        self._doorbell = doorbell
        self._claims: ClaimSession
        self._done = asyncio.Event()

    @asynccontextmanager
    async def leased(self, name: str) -> AsyncIterator[None]:
        """Hold a lease; at the end it is returned, or left to the rescuer when something went wrong."""
        slots = sum(lane.slots for lane in self.lanes)
        self.lease = Lease(self._pool.dsn, name, list(self.types), slots, lambda: len(self.running()))
        number = await self.lease.take()
        self._claims = ClaimSession(self._pool.dsn, number, self._held)
        reason = None
        try:
            yield
            reason = "stopped"
        finally:
            for attempt in self.running():
                attempt.lose()
            await self._claims.close()
            await self.lease.leave(reason)

    def running(self) -> list[Attempt]:
        """The attempts under way."""
        return [attempt for lane in self.lanes for attempt in list(lane.running.values())]

    async def announce(self, attempt: Attempt) -> None:
        """Write and publish the attempt's start before its handler runs elsewhere."""
        await self.reporter.flush([attempt])

    async def work(self, stop: Stop) -> None:
        """Claim and run until `stop`. Raises `WorkerLost`."""
        async with (
            self._doorbell.listen(channels.CREATED) as created,
            self._doorbell.listen(channels.CONTROL) as control,
        ):
            bells = [created, control]
            loops = [
                asyncio.create_task(self._tend(), name="task reports"),
                asyncio.create_task(self._obey(control), name="task control"),
                *(asyncio.create_task(self._claim(lane, created), name="task claims") for lane in self.lanes),
            ]
            ends = [asyncio.create_task(stop.wait()), asyncio.create_task(self.lease.lost.wait())]
            try:
                await asyncio.wait([*loops, *ends], return_when=asyncio.FIRST_COMPLETED)
                await self._finish(bells, loops)
            finally:
                for task in (*loops, *ends):
                    task.cancel()
                outcomes = await asyncio.gather(*loops, *ends, return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, Exception):
                    raise outcome
        if self.lease.lost.is_set():
            raise WorkerLost(f"Worker {self.lease.number} seemed dead, and its tasks were given to others.")

    async def _finish(self, bells: Iterable[Bell], loops: Iterable[asyncio.Task[None]]) -> None:
        self.lease.stopping = True
        self._done.set()
        for lane in self.lanes:
            lane.close()
        for bell in bells:
            bell.rang("")
        if not self.lease.lost.is_set():
            await self._rest(STOP_GRACE)
            for attempt in self.running():
                attempt.stop(Ending.HANDED_BACK)
            await self._rest(1.0)
        await asyncio.wait(loops, timeout=1.0)
        await self.reporter.flush_logs()

    async def _rest(self, seconds: float) -> None:
        runs = [attempt.run for attempt in self.running() if attempt.run is not None]
        if runs:
            await asyncio.wait(runs, timeout=seconds)

    async def _claim(self, lane: Lane, bell: Bell) -> None:
        backoff, failures = Backoff(0.1, 2.0), 0
        while not self._done.is_set():
            wanted = lane.wanted()
            if not wanted:
                lane.room.clear()
                await lane.room.wait()
                continue
            try:
                got = await self._claims.claim(lane.claimer, wanted, lane.accept)
                failures = 0
            except _UNREACHABLE as error:
                failures += 1
                log.warning("tasks.claim_failed", error=str(error).strip(), failures=failures)
                await asyncio.sleep(backoff.delay(failures))
                continue
            if got < wanted:
                self.queues.learn(filter(None, await bell.wait(POLL)))

    async def _tend(self) -> None:
        turn = 0
        while not self._done.is_set():
            await asyncio.sleep(GAP)
            turn += 1
            try:
                await self._report()
                if turn % 4 == 0:
                    await self._check()
            except _UNREACHABLE as error:
                log.warning("tasks.report_delayed", error=str(error).strip())

    async def _report(self) -> None:
        for lane in self.lanes:
            lane.tend()
        running = self.running()
        _slots.labels("taken").set(len(running))
        _slots.labels("free").set(sum(lane.slots for lane in self.lanes) - len(running))
        now = time.monotonic()
        await self.reporter.flush([attempt for attempt in running if now - attempt.started > GAP / 2])

    async def _check(self) -> None:
        await self._claims.settings(self.queues)
        self._yield_paused()
        now = time.monotonic()
        running = [attempt for attempt in self.running() if now - attempt.started > POLL / 2]
        if not running:
            return
        asked = {
            "ids": [attempt.claim.id for attempt in running],
            "tokens": [attempt.token for attempt in running],
        }
        held = {
            row["token"]: row["cancel"]
            for row in await self._pool.fetch(sql(__package__, "check_claims"), asked)
        }
        for attempt in running:
            if held.get(attempt.token):
                attempt.stop(Ending.CANCELLED)
            elif attempt.token not in held and not attempt.context.completed and not attempt.ended:
                log.warning("tasks.claim_lost", task=attempt.claim.id, type=attempt.kind.name)
                attempt.lose()

    async def _obey(self, bell: Bell) -> None:
        while not self._done.is_set():
            for word in await bell.wait(POLL):
                verb, _, subject = word.partition(" ")
                if verb == "cancel":
                    self._cancel(subject)
                elif verb == "queue":
                    await self._claims.settings(self.queues)
                    self._yield_paused()

    def _cancel(self, task_id: str) -> None:
        for attempt in self.running():
            if attempt.claim.id == task_id:
                attempt.stop(Ending.CANCELLED)

    def _yield_paused(self) -> None:
        for lane in self.lanes:
            lane.hand_back(lambda claim: claim.queue in self.queues.paused)

    def _tokens(self) -> set[int]:
        return {token for lane in self.lanes for token in lane.tokens()}

    def _held(self) -> list[int]:
        return [*self._tokens(), *self.completer.tokens()]

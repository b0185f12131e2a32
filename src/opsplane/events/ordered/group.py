"""An ordered consumer group in this process: one of several leads; it alone reads, with a lane per subject."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from opsplane.database import Leader
from opsplane.errors import InvalidInput
from opsplane.events.broker import Broker, BrokerUnavailable
from opsplane.events.consumer import Consumer
from opsplane.events.context import Service
from opsplane.events.fence import Deposed, Fence
from opsplane.events.gate import Gate
from opsplane.events.group import BLOCK, guard_of, unique_name
from opsplane.events.handling import Handling
from opsplane.events.ordered.books import Books
from opsplane.events.ordered.leadership import take_epoch
from opsplane.events.ordered.settler import OrderedSettler
from opsplane.events.ordered.work import LaneWork
from opsplane.events.schemas import Schemas
from opsplane.events.tenure import LEADER, Tenure
from opsplane.resilience import BreakerPolicy, Stop
from opsplane.telemetry import get_logger

log = get_logger("events")
LOOK = 0.5
LOOK_FOR_OTHERS = 5.0
PATIENCE = 3.0


class OrderedGroup:
    """All consumers of one ordered group; `run` is its duty. Start it in as many processes as wanted: one leads.

    Reading stops while twice `prefetch` entries are neither settled nor set aside.
    """

    def __init__(
        self,
        consumers: Sequence[Consumer],
        service: Service,
        broker: Broker,
        schemas: Schemas,
        *,
        prefetch: int = 200,
        max_deliveries: int = 3,
        breaker: BreakerPolicy = BreakerPolicy(),  # noqa: B008  frozen
    ) -> None:
        modes = {consumer.ordered for consumer in consumers}
        if len(modes) > 1 or None in modes:
            raise InvalidInput(
                f"The consumers of group {consumers[0].group} differ in ordered=.",
                remedy='Declare all of them ordered="skip", or all ordered="park".',
            )
        self._handling = Handling(consumers, service, schemas)
        self.group = self._handling.group
        self.name = f"consumer {self.group}"
        self._park = modes == {"park"}
        self._service = service
        self._broker = broker
        self._prefetch = prefetch
        self._max_deliveries = max_deliveries
        self._guard = guard_of(self._handling, consumers, service, broker, breaker)
        self._gate = Gate(broker, self.group, self._guard.breakers if self._guard else None)

    @property
    def topics(self) -> list[str]:
        """Every topic the group reads."""
        return self._handling.topics

    async def run(self, stop: Stop) -> None:
        """Lead, or wait to lead, until `stop`; returns when another has taken the lead."""
        leader = Leader(self._service.pool.dsn, f"ordered group {self.group}")
        async with leader.hold(stop) as held:
            if held:
                try:
                    await self._lead(leader, stop)
                except Deposed as error:
                    log.warning("events.deposed", group=self.group, reason=error.message)

    async def _lead(self, leader: Leader, stop: Stop) -> None:
        name = unique_name()
        known = await self._broker.epoch(self.group)
        fence = Fence(self.group, await take_epoch(self._service.pool, self.group, name, known))
        tenure = await self._broker.lead(self.group, fence.epoch, name, self.topics)
        log.info("events.leads", group=self.group, epoch=fence.epoch, leader=name)
        self._handling.effects.fence = fence
        books = Books(tenure, self.group, self._service.clock, park=self._park, limit=2 * self._prefetch)
        settler = OrderedSettler(books, self.group, name, self._service.clock, self._handling.personal, fence)
        work = LaneWork(
            self._handling, tenure, books, settler, self._broker, self._gate, self._guard, stop,
            max_deliveries=self._max_deliveries,
        )  # fmt: skip
        try:
            await self._broker.lease(self.group, LEADER)
            await self._work_until(stop, leader, tenure, books, settler, work)
            await self._end_lease()
        finally:
            books.show([])
            await tenure.close()

    async def _work_until(
        self,
        stop: Stop,
        leader: Leader,
        tenure: Tenure,
        books: Books,
        settler: OrderedSettler,
        work: LaneWork,
    ) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                helpers = [
                    tasks.create_task(self._handling.deadlines.sweep()),
                    tasks.create_task(self._watch(leader, books, settler, work)),
                ]
                if self._guard is not None:
                    self._guard.consumer = LEADER
                    await self._guard.breakers.look()
                    helpers.append(tasks.create_task(self._guard.keep()))
                await tasks.create_task(work.recover(park=self._park))
                workers = [tasks.create_task(work.run()) for _ in range(self._handling.concurrency)]
                await self._read_until(stop, tenure, books, work)
                for _ in workers:
                    work.lanes.ready.put_nowait(None)
                await asyncio.wait(workers)
                await settler.flush()
                for helper in helpers:
                    helper.cancel()
        except BaseExceptionGroup as errors:
            raise _cause(errors) from None

    async def _read_until(self, stop: Stop, tenure: Tenure, books: Books, work: LaneWork) -> None:
        per_stream = max(1, self._prefetch // (len(self.topics) + 1))
        while not stop.is_set():
            if await self._gate.is_shut():
                await stop.wait(BLOCK)
            elif not books.room.is_set():
                await _within(BLOCK, books.room)
            else:
                entries = await tenure.read(per_stream, BLOCK)
                self._handling.epochs.take(tenure.epochs)
                await work.feed(entries)

    async def _watch(self, leader: Leader, books: Books, settler: OrderedSettler, work: LaneWork) -> None:
        """Write what is settled, show what is parked; raises `Deposed` when leadership is lost, or has to begin anew."""
        look_for_others_at = time.monotonic() + LOOK_FOR_OTHERS
        while True:
            await asyncio.sleep(LOOK)
            if not await _is_alive(leader):
                raise Deposed(f"The session that holds the leadership of {self.group} is gone.")
            await settler.flush()
            books.show(list(work.lanes.parked()))
            if time.monotonic() >= look_for_others_at:
                others = await self._broker.dead_consumers(self.group, self.topics)
                if any(name != LEADER for name in others):
                    raise Deposed(f"{', '.join(others)} left entries of {self.group}; they are taken over.")
                look_for_others_at = time.monotonic() + LOOK_FOR_OTHERS

    async def _end_lease(self) -> None:
        try:
            await self._broker.unlease(self.group, LEADER)
        except BrokerUnavailable as error:
            log.info("events.lease_runs_out", group=self.group, error=error.message)


async def _is_alive(leader: Leader) -> bool:
    try:
        async with asyncio.timeout(PATIENCE):
            return await leader.still()
    except TimeoutError:
        return False


async def _within(seconds: float, event: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _cause(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that ended the others; being deposed explains them all."""
    flat: list[BaseException] = []
    for error in errors.exceptions:
        flat += [_cause(error)] if isinstance(error, BaseExceptionGroup) else [error]
    return next((error for error in flat if isinstance(error, Deposed)), flat[0])

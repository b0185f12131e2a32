"""The work on lanes: the events of a subject one after the other, and what to do behind one that failed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set

from opsplane.events.breakers import Guard
from opsplane.events.broker import Broker, Delivered
from opsplane.events.brokers import keys
from opsplane.events.chain import Work, mark_seen
from opsplane.events.gate import Gate
from opsplane.events.handling import Handling
from opsplane.events.ordered.books import Books
from opsplane.events.ordered.lanes import Lane, Lanes, key_of
from opsplane.events.ordered.settler import OrderedSettler
from opsplane.events.tenure import Tenure
from opsplane.resilience import Stop
from opsplane.telemetry import get_logger

log = get_logger("events")
PAGE = 50
PAUSE = 0.5


class LaneWork:
    """Puts entries into lanes and works them off; `run` is one worker, of which there may be many."""

    def __init__(
        self,
        handling: Handling,
        tenure: Tenure,
        books: Books,
        settler: OrderedSettler,
        broker: Broker,
        gate: Gate,
        guard: Guard | None,
        stop: Stop,
        *,
        max_deliveries: int,
    ) -> None:
        self.lanes = Lanes()
        self._handling = handling
        self._tenure = tenure
        self._books = books
        self._settler = settler
        self._broker = broker
        self._gate = gate
        self._guard = guard
        self._stop = stop
        self._max_deliveries = max_deliveries

    async def recover(self, *, park: bool) -> None:
        """Take up what former leaders left. Without `park` nothing is to wait any more that was parked before.

        Starts are counted. What was counted before may be what ends processes, so it is run now, one at a time; the
        rest waits for its workers.
        """
        await self._until_open()
        await self._handling.epochs.look(self._broker, self._handling.group)
        for subject, (parked, aside) in (await self._tenure.parked()).items():
            self.lanes.restore(Lane(subject, parked, aside, park=park))
        pending = await self._tenure.pending()
        lanes = dict.fromkeys(await self._put(pending, recovered=True))
        await self._run_suspects(lanes, await self._started(pending))
        for lane in [*lanes, *self._releasing()]:
            self.lanes.queue(lane)
        if pending:
            log.info("events.recovered", group=self._handling.group, count=len(pending))

    async def _run_suspects(self, lanes: Iterable[Lane], suspects: Set[tuple[str, str]]) -> None:
        """Run what was started and perhaps ended its process, with what stands before it in its lane."""
        for lane in lanes:
            while any((one.entry.stream, one.entry.id) in suspects for one in lane.works()):
                if self._stop.is_set():
                    return
                await self._step(lane, 1)
        for lane in self._releasing():
            if await self._started(await self._tenure.aside(lane.subject, 1)):
                await self._drain(lane, 1)
        await self._settler.flush()

    async def _started(self, entries: Sequence[Delivered]) -> set[tuple[str, str]]:
        """Those entries whose handling was started by a leader that did not come to settle them."""
        if not entries:
            return set()
        places = [keys.place(entry.stream, entry.id) for entry in entries]
        counts = await self._broker.call("HMGET", keys.started(self._handling.group), *places)
        return {
            (entry.stream, entry.id) for entry, count in zip(entries, counts, strict=True) if int(count or 0)
        }

    async def feed(self, entries: Sequence[Delivered]) -> None:
        """Put entries that were read into their lanes."""
        for lane in await self._put(entries):
            self.lanes.queue(lane)

    async def run(self) -> None:
        """Work lanes off until one is None, or the group stops."""
        deadline = self._handling.deadlines.lane()
        try:
            while not self._stop.is_set():
                if self.lanes.ready.empty():
                    await self._settler.flush()
                lane = await self.lanes.ready.get()
                if lane is None:
                    return
                await self._turn(lane)
                self.lanes.leave(lane)
        finally:
            self._handling.deadlines.release(deadline)

    async def _turn(self, lane: Lane) -> None:
        """Work on one lane, for a while: others are waiting, too."""
        for _ in range(PAGE):
            if self._stop.is_set() or not await self._step(lane, PAGE):
                return

    async def _step(self, lane: Lane, count: int) -> bool:
        """Whether there was something to do: the next event, or up to `count` of those that were set aside."""
        if lane.is_releasing and not lane.first:
            await self._drain(lane, count)
        elif (work := lane.take()) is None:
            return False
        elif lane.parked is not None and not work.entry.is_private:
            await self._set_aside(lane, [work, *lane.take_waiting()])
        else:
            await self._run(lane, work)
        return True

    async def _drain(self, lane: Lane, count: int) -> None:
        """Handle the next events that were set aside; those read meanwhile make room for other subjects."""
        await self._until_open()
        if self._stop.is_set():
            return
        works = [Work(entry) for entry in await self._tenure.aside(lane.subject, count)]
        errors = [self._undecodable(work) for work in works]
        events = [work for work, error in zip(works, errors, strict=True) if error is None]
        await mark_seen(self._broker, self._handling.group, events)
        for work, error in zip(works, errors, strict=True):
            work.recovered, lane.doubtful = lane.doubtful, False
            self._books.hold(work, lane)
            if error is None:
                await self._run(lane, work)
            else:
                await self._settler.fail(work, error, 0.0)
            if not lane.is_releasing or self._stop.is_set():
                break
        await self._settler.flush()
        if lane.is_releasing and not lane.aside:
            await self._books.unpark(lane)
        elif lane.is_releasing and lane.waiting:
            await self._set_aside(lane, lane.take_waiting())

    async def _set_aside(self, lane: Lane, works: Sequence[Work]) -> None:
        await self._settler.flush()
        await self._books.set_aside(lane, works)

    async def _run(self, lane: Lane, work: Work) -> None:
        """Handle and settle one event; when it held up its lane and no longer does, that is written at once."""
        if work.gives_up is not None:
            await self._give_up(lane, work)
            return
        if work.recovered and await self._is_poison(work):
            return
        if work.seen:
            await self._settler.succeed(work)
        elif await self._handling.check(work, self._settler):
            if self._guard is None:
                await self._handling.one(work, self._settler)
            else:
                await self._guard.handle([work], self._settler, self._stop)
        if lane.is_held_up_by(key_of(work)):
            await self._settler.flush()

    async def _is_poison(self, work: Work) -> bool:
        starts = await self._broker.count_start(self._handling.group, work.entry)
        if starts <= self._max_deliveries:
            return False
        await self._settler.poison(work, starts - 1)
        return True

    async def _put(self, entries: Sequence[Delivered], *, recovered: bool = False) -> list[Lane]:
        works = []
        for entry in entries:
            work = Work(entry, recovered=recovered)
            if work.gives_up is not None:
                works.append(work)
            elif (error := self._undecodable(work)) is not None:
                await self._settler.fail(work, error, 0.0)
            else:
                works.append(work)
        events = [work for work in works if work.gives_up is None]
        await mark_seen(self._broker, self._handling.group, events)
        found = [await self._put_one(work) for work in works]
        return [lane for lane in found if lane is not None]

    async def _put_one(self, work: Work) -> Lane | None:
        if work.gives_up is None:
            lane = self.lanes.find(work)
            self._books.hold(work, lane)
            (lane.first if work.entry.is_private else lane.waiting).append(work)
            return lane
        held_up = self.lanes.held_up_by(work.gives_up)
        if held_up is None:
            await self._books.acknowledge(work.entry)
        else:
            held_up.first.append(work)
        return held_up

    async def _give_up(self, lane: Lane, work: Work) -> None:
        if lane.is_held_up_by(work.gives_up or ""):
            log.info("events.given_up", group=self._handling.group, given_up=work.gives_up)
            await self._books.give_up(lane, work.entry)
        else:
            await self._books.acknowledge(work.entry)

    def _undecodable(self, work: Work) -> Exception | None:
        """Why the entry cannot be given to any handler."""
        try:
            self._handling.decode(work)
        except Exception as error:  # noqa: BLE001  whatever is wrong with an entry, it is settled with its reason
            return error
        return None

    async def _until_open(self) -> None:
        while await self._gate.is_shut() and not await self._stop.wait(PAUSE):
            pass

    def _releasing(self) -> list[Lane]:
        return [lane for lane in self.lanes.parked() if lane.is_releasing]

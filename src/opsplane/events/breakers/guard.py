"""Runs what a group holds whose consumers name dependencies: while one is away, its events wait where they are.

An event that failed for a dependency spends no attempt at first: it is a suspect, and the events after it tell. When
they fail alike the breaker opens, and all are run again, in order, once it lets them. When one of them is answered the
suspect is run once more, and what fails again then fails by its own fault: it spends an attempt like any other. So
neither an outage costs an event its attempts, nor can one bad event hold its group up.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence

from opsplane.events.breakers.board import LOOK, Breakers
from opsplane.events.breakers.hand import Hand, More, Unit
from opsplane.events.broker import Broker, BrokerUnavailable
from opsplane.events.chain import Settler, Work, is_timeout, is_unavailable, lost_database
from opsplane.events.dependencies import DATABASE, Calls
from opsplane.events.handling import Handling
from opsplane.resilience import Stop
from opsplane.telemetry import get_logger

log = get_logger("events")
HOLD = 20.0  # Dapr's sidecars claim what is idle for 60 s
REST, MOST_REST = 0.05, 1.0
PREFETCH = 100
MOST_HELD = 1000


class Guard:
    """Handles entries of one group behind its breakers."""

    def __init__(self, handling: Handling, broker: Broker, breakers: Breakers) -> None:
        self.breakers = breakers
        self.consumer = ""
        self._handling = handling
        self._broker = broker
        self._hands: set[Hand] = set()

    async def keep(self) -> None:
        """Stay in step with the other processes and keep what is held from being claimed, for ever."""
        while True:
            await self.breakers.look_when_due()
            for hand in list(self._hands):
                await self._hold_on(hand)
            await asyncio.sleep(LOOK)

    async def handle(
        self, works: Sequence[Work], settler: Settler, stop: Stop | None, more: More | None = None
    ) -> None:
        """Return when all entries are settled, or, once `stop` is set, with the rest left to others.

        `more` reads further entries, whose outcome tells whose fault a failure was.
        """
        hand = Hand(settler, stop or Stop(), more)
        hand.add(works)
        self._hands.add(hand)
        try:
            while (hand.ready or hand.suspects) and not hand.stop.is_set():
                shut = self.breakers.shut
                if shut:
                    hand.recall()
                if runnable := hand.take(shut):
                    await self._lanes(hand, runnable)
                elif shut:
                    await self._wait(hand)
                else:
                    await self._reconsider(hand)
            await self._uncount(hand)
        finally:
            self._hands.discard(hand)

    async def _lanes(self, hand: Hand, queue: deque[Unit]) -> None:
        lanes = min(self._handling.concurrency, len(queue))
        if lanes == 1:
            await self._lane(hand, queue)
        else:
            found = await asyncio.gather(
                *(self._lane(hand, queue) for _ in range(lanes)), return_exceptions=True
            )
            for outcome in found:
                if outcome is not None:
                    raise outcome
        hand.put_back(*queue)

    async def _lane(self, hand: Hand, queue: deque[Unit]) -> None:
        lane = self._handling.deadlines.lane()
        try:
            while queue and not hand.stop.is_set():
                unit = queue[0]
                if self.breakers.shut and not self.breakers.shut.isdisjoint(unit.consumer.dependencies):
                    return
                queue.popleft()
                if await self._run(hand, unit):
                    await self._suspect(hand, unit)
                elif hand.suspects:
                    self._give_another_run(hand, queue)
        finally:
            self._handling.deadlines.release(lane)

    async def _run(self, hand: Hand, unit: Unit) -> bool:
        """Whether a dependency failed the unit; else it is settled. Where one answered, its breaker is told."""
        if hand.uncounted:
            await self._count(hand, unit)
        consumer = unit.consumer
        calls = Calls(consumer.dependencies)
        started = time.perf_counter()
        try:
            if consumer.batch is None:
                await self._handling.effects.one(unit.works[0], calls)
            else:
                await self._handling.effects.many(consumer, unit.works, calls)
        except Exception as error:  # noqa: BLE001  every error of a handler is classified and settled
            unit.error, unit.seconds = error, time.perf_counter() - started
            for name in calls.reached or ():
                self.breakers.succeed(name, started)
            blamed = blame(error, calls)
            if blamed is None:
                await self._fail(hand, unit)
                return False
            return not await self._is_to_blame(hand, unit, blamed)
        for name in answered(calls):
            self.breakers.succeed(name, started)
        for work in unit.works:
            await hand.settler.succeed(work)
        return False

    async def _is_to_blame(self, hand: Hand, unit: Unit, blamed: str) -> bool:
        """Whether others were answered since its last failure: then it is settled as one that failed by its own fault."""
        again = unit.blamed == blamed and self.breakers.proof[blamed] > unit.failed_at
        unit.blamed, unit.failed_at, unit.tries = blamed, time.perf_counter(), unit.tries + 1
        if again:
            await self._fail(hand, unit, attributed=True)
        return again

    async def _fail(self, hand: Hand, unit: Unit, *, attributed: bool = False) -> None:
        """Settle a unit by the class of its error; a batch whose dependencies were there is run one by one."""
        error = unit.error
        if len(unit.works) > 1 and not is_unavailable(error):
            log.info(
                "events.batch_split",
                group=self._handling.group,
                size=len(unit.works),
                error=type(error).__name__,
            )
            await self._one_by_one(hand, unit)
            return
        for work in unit.works:
            await hand.settler.fail(work, error, unit.seconds, attributed=attributed)

    async def _one_by_one(self, hand: Hand, unit: Unit) -> None:
        singles = hand.split(unit)
        while singles and self.breakers.shut.isdisjoint(unit.consumer.dependencies):
            single = singles.pop(0)
            if await self._run(hand, single):
                await self._suspect(hand, single)
        hand.put_back(*singles)

    async def _suspect(self, hand: Hand, unit: Unit) -> None:
        assert unit.blamed is not None
        unit.due = time.perf_counter() + min(MOST_REST, REST * 2.0 ** (unit.tries - 1))
        hand.suspects.append(unit)
        await self.breakers.fail(unit.blamed, self._told(unit))

    def _told(self, unit: Unit) -> str:
        """What failed it, without personal data."""
        work = unit.works[0]
        view = self._handling.personal.view(work.entry.data, work.topic)
        return f"{type(unit.error).__name__}: {view.text(str(unit.error))}"

    def _give_another_run(self, hand: Hand, queue: deque[Unit]) -> None:
        """Suspects whose dependency has answered since are run next."""
        proven = [unit for unit in hand.suspects if self.breakers.proof[unit.blamed or ""] > unit.failed_at]
        if proven:
            hand.suspects = [unit for unit in hand.suspects if unit not in proven]
            queue.extendleft(sorted(proven, key=lambda unit: -unit.number))

    async def _reconsider(self, hand: Hand) -> None:
        """There are suspects only: see what happens to further entries, or to these after a rest."""
        await hand.settler.flush()
        rest = min(unit.due for unit in hand.suspects) - time.perf_counter()
        if rest <= 0:
            hand.recall()
        elif hand.more is None:
            await hand.stop.wait(rest)
        else:
            hand.add(await hand.more(PREFETCH, rest))

    async def _wait(self, hand: Hand) -> None:
        """Hold everything for a moment, or probe."""
        await hand.settler.flush()
        for name in sorted(self.breakers.shut):
            if self.breakers.phase(name) == "half_open" and await self._probe(hand, name):
                return
        await self._uncount(hand)
        await hand.stop.wait(LOOK)
        await self.breakers.look_when_due()
        await self._hold_on(hand)

    async def _probe(self, hand: Hand, dependency: str) -> bool:
        """Whether a probe was sent. One that fails is checked with the next event, for it may be a bad one."""
        async with self.breakers.probing(dependency, self.consumer) as allowed:
            first = await self._next_for(hand, dependency) if allowed else None
            if first is None:
                return False
            if not await self._probe_with(hand, first, dependency):
                return True
            held = [first]
            second = await self._witness(hand, dependency)
            told_apart = second is not None and not await self._probe_with(hand, second, dependency)
            if not told_apart:
                await self.breakers.reopen(dependency, self._told(first))
                held += [second] if second is not None else []
            hand.put_back(*held)
        return True

    async def _probe_with(self, hand: Hand, unit: Unit, dependency: str) -> bool:
        """Whether the dependency failed the unit."""
        lane = self._handling.deadlines.lane()
        before = self.breakers.proof[dependency]
        try:
            failed = await self._run(hand, unit)
        finally:
            self._handling.deadlines.release(lane)
        if failed and unit.blamed != dependency:
            await self._suspect(hand, unit)
            return False
        if self.breakers.proof[dependency] > before:
            await self.breakers.probed(dependency)
        return failed

    async def _next_for(self, hand: Hand, dependency: str) -> Unit | None:
        found = hand.take_for(dependency)
        if found is None and hand.more is not None:
            hand.add(await hand.more(1, 0.01))
            found = hand.take_for(dependency)
        return found

    async def _witness(self, hand: Hand, dependency: str) -> Unit | None:
        """An event that tells whether the dependency is away: one that did not fail yet, if it can be had."""
        found = hand.take_for(dependency, least_tried=True)
        if (found is None or found.tries) and hand.more is not None and len(hand.ready) < MOST_HELD:
            hand.add(await hand.more(1, 0.01))
            if found is not None:
                hand.put_back(found)
            found = hand.take_for(dependency, least_tried=True)
        return found

    async def _hold_on(self, hand: Hand) -> None:
        """Keep what waits from being claimed by others, now and then."""
        now = time.monotonic()
        if not self.breakers.shut or now < hand.hold_at:
            return
        hand.hold_at = now + HOLD
        entries = [work.entry for unit in hand.units for work in unit.works]
        try:
            await self._broker.hold(self._handling.group, self.consumer, entries)
        except BrokerUnavailable as error:
            log.warning("events.hold_failed", group=self._handling.group, error=error.message)

    async def _uncount(self, hand: Hand) -> None:
        """An entry taken over was started once more, but its process did not die of it: it waits, or is left."""
        if hand.uncounted:
            return
        for unit in hand.units:
            for work in unit.works:
                if work.recovered:
                    await self._broker.uncount_start(self._handling.group, work.entry)
                    hand.uncounted = True

    async def _count(self, hand: Hand, unit: Unit) -> None:
        hand.uncounted = False
        for work in unit.works:
            await self._broker.count_start(self._handling.group, work.entry)


def blame(error: Exception, calls: Calls) -> str | None:
    """The dependency that failed a handler; None when nothing says which, or the error is of another kind.

    It is the one whose `ctx.dependency` was left by an error, the service's own database where its connection was lost,
    or the only one there is.
    """
    if not is_unavailable(error) and not is_timeout(error):
        return None
    if calls.failed is not None:
        return calls.failed
    if len(calls.declared) == 1:
        return calls.declared[0]
    return DATABASE if DATABASE in calls.declared and lost_database(error) else None


def answered(calls: Calls) -> Sequence[str]:
    """The dependencies that answered a handler which succeeded."""
    if len(calls.declared) == 1:
        return calls.declared
    reached = calls.reached or []
    return [*reached, DATABASE] if DATABASE in calls.declared and DATABASE not in reached else reached

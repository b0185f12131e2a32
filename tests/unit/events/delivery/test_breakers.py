"""Breakers of named dependencies: what opens them, what waits meanwhile, and what it costs."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime

import psycopg
import pytest

from opsplane.clock import SYSTEM, ManualClock
from opsplane.errors import InvalidInput, RateLimited, Unavailable
from opsplane.events import Event, Reject, RetryMover, connect, consumer
from opsplane.events.broker import Delivered
from opsplane.events.brokers import keys
from opsplane.resilience import BreakerPolicy, Retry, Stop

TOPIC, OTHER, GROUP = "shop.item.created", "shop.item.deleted", "indexer"
NAME = f"{GROUP}:index"
QUICK = BreakerPolicy(wait="300ms")


class Index:
    """A dependency that can be away, and the handler that calls it."""

    def __init__(self):
        self.away, self.done, self.calls, self.bad = False, [], 0, set()

    async def call(self, event):
        self.calls += 1
        if self.away or event.subject in self.bad:
            raise Unavailable("The index is away.")
        self.done.append(int(event.data["sku"][1:]))

    def consumer(self, topic=TOPIC, **options):
        options.setdefault("dependencies", ("index",))
        batch = options.get("batch")

        @consumer(topic, group=GROUP, **options)
        async def handle(event: Event, ctx) -> None:
            for one in event if batch else [event]:
                await self.call(one)

        return handle


def items(world, *numbers):
    return [world.item(number) for number in numbers]


async def phase(world):
    text = await world.store.hget(keys.BREAKERS, NAME)
    return None if text is None else json.loads(text)


async def opened(world):
    found = await phase(world)
    return found is not None and found["opened"]


async def closed_again(world):
    return not await opened(world)


def group_of(world, *consumers, clock=SYSTEM, **options):
    return world.group(*consumers, clock=clock, breaker=QUICK, recovery_interval=0.05, **options)


async def unharmed(world):
    """No attempt was spent and nothing is a dead letter."""
    return not await world.dead() and not await world.store.zcard(keys.retry_schedule(GROUP))


async def test_an_outage_opens_it_holds_everything_and_costs_no_attempt(world):
    index = Index()
    index.away = True
    group = group_of(world, index.consumer(), prefetch=20)
    async with world.running(group):
        await world.emit(*items(world, *range(100)))
        await world.until(lambda: opened(world))
        await asyncio.sleep(0.2)
        tried, waiting = index.calls, await world.pending()
        assert waiting <= 20, "reading has stopped"
        assert tried <= 5 + 2 + 2, "what is in hand waits"
        assert await unharmed(world)
        assert not index.done
        index.away = False
        await world.until(lambda: len(index.done) == 100)
    assert index.done == list(range(100)), "in order"
    assert await unharmed(world)
    assert await world.pending() == 0
    condition = await phase(world)
    assert (condition["opened"], condition["openings"]) == (False, 0)


async def test_a_lone_event_opens_it_as_well_and_waits(world):
    index = Index()
    index.away = True
    async with world.running(group_of(world, index.consumer())):
        await world.emit(world.item(7))
        await world.until(lambda: opened(world))
        index.away = False
        await world.until(lambda: index.done == [7])
    assert await unharmed(world)


@pytest.mark.parametrize("error", [ZeroDivisionError("bug"), Reject("never"), InvalidInput("bad")])
async def test_a_bug_or_a_bad_event_never_opens_it(world, error):
    @consumer(TOPIC, group=GROUP, retry=Retry(0), dependencies=("index",))
    async def handle(event: Event, ctx) -> None:
        async with ctx.dependency("index"):
            raise type(error)(*error.args)

    async with world.running(group_of(world, handle)):
        await world.emit(*items(world, *range(40)))
        await world.until(lambda: _count(world.dead, 40))
    assert not await opened(world)
    assert len({metadata["fingerprint"] for _, metadata in await world.dead()}) == 1


async def test_an_event_that_fails_while_others_are_answered_spends_its_attempts(world):
    index = Index()
    index.bad = {"p1"}
    group = group_of(world, index.consumer(retry=Retry(2, "50ms")), prefetch=400)
    async with world.running(group, RetryMover(world.broker, [GROUP], SYSTEM)):
        await world.emit(*items(world, *range(30)))

        async def settled() -> bool:  # others keep coming: without them nobody can tell whose fault it is
            await world.emit(world.item(100 * 3))
            return len(await world.dead()) == 10

        await world.until(settled, 30)
    assert sorted(set(index.done)) == [*(number for number in range(30) if number % 3 != 1), 300]
    assert {metadata["reason"] for _, metadata in await world.dead()} == {"unavailable"}
    assert {len(json.loads(metadata["attempts"])) for _, metadata in await world.dead()} == {3}


async def test_one_bad_event_at_the_head_does_not_hold_the_group_up_for_ever(world):
    index = Index()
    index.bad = {"p1"}
    group = group_of(world, index.consumer(retry=Retry(0)))
    async with world.running(group):
        await world.emit(world.item(1))
        await world.until(lambda: opened(world))
        await world.emit(*items(world, *range(2, 30, 3)))
        await world.until(lambda: len(index.done) == 10)
        await world.until(lambda: _count(world.dead, 1))
        await world.until(lambda: closed_again(world))


async def test_replicas_share_it_and_probe_one_at_a_time(world):
    index, running, most = Index(), 0, 0
    plain = index.call

    async def slowly(event):
        nonlocal running, most
        half_open = (await phase(world))["opened"]
        running += 1
        most = max(most, running) if half_open else most
        await asyncio.sleep(0.3 if half_open else 0)
        running -= 1
        await plain(event)

    index.away = True
    groups = [group_of(world, index.consumer(), prefetch=20) for _ in range(3)]
    async with world.running(*groups):
        await world.emit(*items(world, *range(9)))
        await world.until(lambda: opened(world))
        await asyncio.sleep(0.5)
        index.call, most = slowly, 0
        await world.emit(*items(world, *range(9, 200)))
        await asyncio.sleep(1.0)
        assert most == 1
        assert all(group._guard.breakers.shut for group in groups)
        index.away = False
        await world.until(lambda: len(index.done) == 200)
        assert most == 1
    assert sorted(index.done) == list(range(200))
    assert await unharmed(world)


async def test_shutting_down_while_it_is_open_is_prompt_and_leaves_entries_to_others(world):
    index = Index()
    index.away = True
    async with world.running(group_of(world, index.consumer())):
        await world.emit(*items(world, *range(10)))
        await world.until(lambda: opened(world))
        began = time.monotonic()
    print(f"\nended after {time.monotonic() - began:.2f} s")
    assert await world.pending() == 10
    for _ in range(4):  # more than starts are allowed: that it waited is no fault of the event's
        async with world.running(group_of(world, index.consumer())):
            await asyncio.sleep(0.7)
    index.away = False
    async with world.running(group_of(world, index.consumer())):
        await world.until(lambda: len(index.done) == 10)
    assert await unharmed(world)
    assert not await world.store.hlen(keys.started(GROUP))


async def test_starts_of_what_is_taken_over_and_waits_make_no_poison(world):
    index = Index()
    index.away = True
    dead = await world.broker.reader(GROUP, "dead", [TOPIC])
    await world.emit(world.item(1))
    assert await dead.read(10, 0.1)
    await dead.close()
    for _ in range(5):  # three starts are allowed
        await asyncio.sleep(0.6)  # what was claimed a moment ago is not claimed again
        group, stop = group_of(world, index.consumer()), Stop()
        asyncio.get_running_loop().call_later(0.1, stop.set)
        assert await group.recover(stop) == 1
    assert await unharmed(world)
    index.away = False
    await asyncio.sleep(0.6)
    assert await group_of(world, index.consumer()).recover(Stop()) == 1
    assert index.done == [1]


async def test_what_waits_is_not_idle_for_others_and_counts_no_delivery(world):
    index = Index()
    index.away = True
    async with world.running(group_of(world, index.consumer())):
        await world.emit(*items(world, *range(3)))
        await world.until(lambda: opened(world))
        await asyncio.sleep(0.5)
        [guard] = [task for task in asyncio.all_tasks() if task.get_name() == f"breakers {GROUP}"]
        assert guard
        before = await world.store.xpending_range(TOPIC, GROUP, "-", "+", 10)
        entries = [await _entry(world, one["message_id"]) for one in before]
        await world.broker.hold(GROUP, before[0]["consumer"].decode(), entries)
        after = await world.store.xpending_range(TOPIC, GROUP, "-", "+", 10)
    assert all(one["time_since_delivered"] > 300 for one in before)
    assert all(one["time_since_delivered"] < 300 for one in after)
    assert [one["times_delivered"] for one in after] == [1, 1, 1]


async def test_with_several_dependencies_the_one_called_is_to_blame(world):
    away = {"first"}

    @consumer(TOPIC, group=GROUP, dependencies=("first", "second"), retry=Retry(0))
    async def handle(event: Event, ctx) -> None:
        for name in ("second", "first"):
            async with ctx.dependency(name):
                if name in away:
                    raise ConnectionError(name)

    async with world.running(group_of(world, handle)):
        await world.emit(*items(world, *range(10)))
        await world.until(lambda: _opened(world, "first"))
        assert not await _opened(world, "second")
        away.clear()
        await world.until(lambda: _none_pending(world))
    assert await world.dead() == []


async def test_with_several_dependencies_and_none_named_nothing_is_held(world):
    @consumer(TOPIC, group=GROUP, dependencies=("first", "second"), retry=Retry(0))
    async def handle(event: Event, ctx) -> None:
        raise Unavailable("Somebody is away.")

    async with world.running(group_of(world, handle)):
        await world.emit(*items(world, *range(10)))
        await world.until(lambda: _count(world.dead, 10))
    assert not await _opened(world, "first")


async def test_a_lost_connection_to_the_services_own_database_needs_no_naming(world):
    away = [True]

    @consumer(TOPIC, group=GROUP, dependencies=("processor", "database"), retry=Retry(0))
    async def handle(event: Event, ctx) -> None:
        if away:
            raise psycopg.OperationalError("the connection is closed")

    async with world.running(group_of(world, handle)):
        await world.emit(*items(world, *range(10)))
        await world.until(lambda: _opened(world, "database"))
        assert not await _opened(world, "processor")
        away.clear()
        await world.until(lambda: _none_pending(world))
    assert await world.dead() == []


async def test_a_handler_that_hangs_on_its_dependency_is_a_failure_of_it(world):
    away = [True]

    @consumer(TOPIC, group=GROUP, dependencies=("first", "second"), retry=Retry(0), timeout="100ms")
    async def handle(event: Event, ctx) -> None:
        async with ctx.dependency("second"):
            if away:
                await asyncio.sleep(30)

    async with world.running(group_of(world, handle)):
        await world.emit(*items(world, *range(10)))
        await world.until(lambda: _opened(world, "second"))
        away.clear()
        await world.until(lambda: _none_pending(world))
    assert await world.dead() == []


async def test_batches_wait_and_come_again_as_they_were(world):
    index, sizes = Index(), []

    @consumer(TOPIC, group=GROUP, batch=5, dependencies=("index",))
    async def handle(events: list[Event], ctx) -> None:
        sizes.append(len(events))
        for event in events:
            await index.call(event)

    index.away = True
    await world.emit(*items(world, *range(20)))
    async with world.running(group_of(world, handle, prefetch=100)):
        await world.until(lambda: opened(world))
        index.away = False
        await world.until(lambda: len(index.done) == 20)
    assert index.done == list(range(20))
    assert set(sizes) == {5}
    assert await unharmed(world)


async def test_consumers_without_the_dependency_go_on_with_what_they_hold(world):
    index, others = Index(), []

    @consumer(OTHER, group=GROUP)
    async def other(event: Event, ctx) -> None:
        others.append(event.id)

    index.away = True
    await world.emit(*items(world, *range(10)))
    await world.emit(*[world.item(number) for number in range(5)], topic=OTHER)
    async with world.running(group_of(world, index.consumer(), other)):
        await world.until(lambda: opened(world))
        await world.until(lambda: len(others) == 5)
        assert not index.done


async def test_an_undeclared_dependency_is_a_bug_of_the_handler(world):
    @consumer(TOPIC, group=GROUP, dependencies=("index",), retry=Retry(0))
    async def handle(event: Event, ctx) -> None:
        async with ctx.dependency("indx"):
            pass

    await world.emit(world.item(1))
    await world.deliver(group_of(world, handle))
    [(_, metadata)] = await world.dead()
    assert (metadata["reason"], metadata["error"]) == ("internal", "UndeclaredDependency")
    with pytest.raises(InvalidInput, match="cannot name a dependency"):
        consumer(TOPIC, group=GROUP, dependencies=("a:b",))


async def test_retries_can_be_set_for_a_type_of_error(world):
    clock = ManualClock(datetime.now(UTC))
    errors = {"p0": ZeroDivisionError("a"), "p1": FloatingPointError("b"), "p2": OverflowError("c")}
    tried = []

    @consumer(
        TOPIC,
        group=GROUP,
        retries={ArithmeticError: Retry(3, "1s"), OverflowError: None, Reject: Retry(1, "1s")},
    )
    async def handle(event: Event, ctx) -> None:
        tried.append(event.subject)
        raise errors[event.subject]

    group = world.group(handle, clock=clock)
    await world.emit(*items(world, 0, 1, 2))
    await world.deliver(group)
    while await _retried(world, group, clock, 2):
        pass
    assert sorted(tried) == ["p0"] * 4 + ["p1"] * 4 + ["p2"]
    assert {metadata["reason"] for _, metadata in await world.dead()} == {"internal"}


async def test_who_is_asked_too_often_is_asked_again_when_it_says_and_not_more_often_than_declared(world):
    clock, tried = ManualClock(datetime.now(UTC)), []

    @consumer(TOPIC, group=GROUP, retry=Retry(2, "1s"), dependencies=("index",))
    async def handle(event: Event, ctx) -> None:
        tried.append(event.id)
        raise RateLimited("Slow down.", retry_after=60)

    group = world.group(handle, clock=clock)
    await world.emit(world.item(1))
    await world.deliver(group)
    assert await _retried(world, group, clock, 59) == 0
    assert await _retried(world, group, clock, 2) == 1
    assert await _retried(world, group, clock, 61) == 1
    [(_, metadata)] = await world.dead()
    assert (metadata["reason"], len(tried)) == ("rate_limited", 3)
    assert not await opened(world)


async def test_a_deadlock_is_no_absence(world):
    errors = [psycopg.errors.DeadlockDetected("deadlock")] * 20

    @consumer(TOPIC, group=GROUP, dependencies=("database",), retry=Retry(0))
    async def handle(event: Event, ctx) -> None:
        raise errors.pop()

    await world.emit(*items(world, *range(10)))
    await world.deliver(world.group(handle))
    assert {metadata["reason"] for _, metadata in await world.dead()} == {"conflict"}


async def test_it_works_with_the_rights_of_a_service(world, valkey_engine):
    index, broker = Index(), connect(valkey_engine.url("service"))
    world.broker = broker
    index.away = True
    async with world.running(group_of(world, index.consumer())):
        await world.emit(*items(world, *range(10)))
        await world.until(lambda: opened(world))
        index.away = False
        await world.until(lambda: len(index.done) == 10)
    await broker.close()


async def test_what_was_concluded_while_the_broker_was_away_is_told_later(world):
    index = Index()
    group = group_of(world, index.consumer())
    breakers = group._guard.breakers
    await breakers.look()
    await world.store.delete(keys.BREAKERS)
    assert await phase(world) is None
    for _ in range(5):
        await breakers.fail("index", "away")
    assert await opened(world)
    await world.store.delete(keys.BREAKERS)
    await breakers.look()
    assert await opened(world), "a broker that lost its memory is told"


async def _entry(world, entry_id):
    return Delivered(TOPIC, entry_id.decode(), b"", {})


async def _retried(world, group, clock, seconds):
    await clock.advance(seconds)
    moved = await RetryMover(world.broker, [GROUP], clock).move()
    await world.deliver(group)
    return moved


async def _count(read, count):
    return len(await read()) == count


async def _opened(world, dependency):
    text = await world.store.hget(keys.BREAKERS, f"{GROUP}:{dependency}")
    return text is not None and json.loads(text)["opened"]


async def _none_pending(world):
    return await world.pending() == 0 and not await world.store.xlen(keys.retry_stream(GROUP))

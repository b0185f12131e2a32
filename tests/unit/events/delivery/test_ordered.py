"""Ordered groups: one leader, a lane per subject, and what waits behind a failed event."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from opsplane.clock import SYSTEM
from opsplane.errors import Conflict, InvalidInput
from opsplane.events import (
    ConsumerGroup,
    Context,
    Event,
    OrderedGroup,
    Reject,
    RetryMover,
    consumer,
    consumer_group,
    encode,
    new_event,
)
from opsplane.events.brokers import keys
from opsplane.events.brokers.settling import unpacked
from opsplane.events.ordered import parked_subjects
from opsplane.events.tenure import LEADER
from opsplane.resilience import BreakerPolicy, Retry, Stop

TOPIC = "shop.item.deleted"  # its schema takes any object
SECOND = "shop.item.created"
GROUP = "ledger"


def event(subject, number, topic=TOPIC, **more):
    data = {"sku": str(number), "price": 1} if topic == SECOND else {"n": number}
    return new_event(topic, data, source="shop", subject=subject, **more)


class History:
    """What handlers did, in order; `fail` has the errors of an event's next attempts."""

    def __init__(self, world):
        self.world, self.done, self.calls, self.fail, self.most, self.running = world, [], [], {}, 0, 0

    def consumer(self, topics=TOPIC, **options):
        options = {"ordered": "park", "concurrency": 4, "retry": Retry(3, "50ms"), **options}

        @consumer(topics, group=GROUP, **options)
        async def handle(found: Event, ctx: Context) -> None:
            key = (found.subject, found.data.get("n", found.data.get("sku")))
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                await asyncio.sleep(0)
                self.calls.append(key)
                if self.fail.get(key):
                    raise self.fail[key].pop(0)
                async with ctx.once() as tx:
                    await tx.execute("insert into effect values (%s)", [found.id])
                    self.done.append(key)
            finally:
                self.running -= 1

        return handle

    def of(self, subject):
        return [number for name, number in self.done if name == subject]

    def group(self, **options):
        return ordered(self.world, self.consumer(**options))


def ordered(world, *consumers, **options):
    return consumer_group(consumers, world.service, world.broker, world.schemas, **options)


def retries(world):
    return RetryMover(world.broker, [GROUP], SYSTEM)


async def emit(world, *events):
    for one in events:
        await world.emit(one, topic=one.topic)


async def parked(world):
    return {one.subject: (one.waits_for, one.events) for one in await parked_subjects(world.broker, GROUP)}


async def settled(world, *, dead=0):
    """Nothing pending, nothing set aside."""

    async def check():
        return (
            await world.store.xlen(TOPIC) > 0
            and await world.pending(GROUP, TOPIC) == 0
            and not await world.store.exists(keys.parked(GROUP))
            and not await world.store.zcard(keys.retry_schedule(GROUP))
            and not await world.store.xlen(keys.retry_stream(GROUP))
        )

    await world.until(check)


async def test_within_a_subject_strictly_in_order_and_subjects_side_by_side(world):
    history = History(world)
    await emit(world, *(event(f"s{number % 5}", number) for number in range(200)))
    async with world.running(history.group()):
        await world.until(lambda: len(history.done) == 200)
        await settled(world)
    for subject in range(5):
        assert history.of(f"s{subject}") == list(range(subject, 200, 5))
    assert history.most > 1


async def test_park_later_events_of_the_subject_wait_and_others_go_on(world):
    history = History(world)
    history.fail["a", 0] = [TimeoutError("slow")] * 2
    mover = retries(world)
    async with world.running(history.group()):
        await emit(world, *(event(subject, number) for number in range(10) for subject in "ab"))
        await world.until(lambda: len(history.of("b")) == 10)
        await world.until(lambda: _is(world, {"a": ("retry", 9)}))
        assert await world.pending(GROUP, TOPIC) == 0, "what waits does not hold up the stream"
        assert history.of("a") == []
        await emit(world, event("a", 10))
        await world.until(lambda: _is(world, {"a": ("retry", 10)}))
        async with world.running(mover):
            await world.until(lambda: len(history.of("a")) == 11)
            await settled(world)
    assert history.of("a") == list(range(11))
    assert history.calls.count(("a", 0)) == 3
    assert await world.store.keys("opsplane:aside:*") == []


async def test_skip_later_events_of_the_subject_do_not_wait(world):
    history = History(world)
    history.fail["a", 0] = [TimeoutError("slow")]
    async with world.running(history.group(ordered="skip")):
        await emit(world, *(event("a", number) for number in range(5)))
        await world.until(lambda: history.of("a") == [1, 2, 3, 4])
        assert await parked(world) == {}
        async with world.running(retries(world)):
            await world.until(lambda: history.of("a") == [1, 2, 3, 4, 0])
            await settled(world)


async def test_events_without_subject_are_one_lane(world):
    history = History(world)
    history.fail[None, 0] = [TimeoutError("slow")]
    async with world.running(history.group(), retries(world)):
        await emit(world, *(event(None, number) for number in range(20)))
        await world.until(lambda: history.of(None) == list(range(20)))


async def test_a_subject_waits_over_all_topics_of_the_group(world):
    history = History(world)
    history.fail["a", 0] = [TimeoutError("slow")]
    async with world.running(history.group(topics=(TOPIC, SECOND))):
        await emit(world, event("a", 0))
        await world.until(lambda: _is(world, {"a": ("retry", 0)}))
        await emit(world, event("a", 1, SECOND), event("a", 2))
        await world.until(lambda: _is(world, {"a": ("retry", 2)}))
        async with world.running(retries(world)):
            await world.until(lambda: history.of("a") == [0, "1", 2])


async def test_an_event_that_fails_when_its_turn_comes_holds_up_those_behind_it(world):
    history = History(world)
    history.fail["a", 0] = [TimeoutError("slow")]
    history.fail["a", 2] = [TimeoutError("slow"), TimeoutError("slow")]
    history.fail["a", 70] = [TimeoutError("slow")]
    async with world.running(history.group(), retries(world)):
        await emit(world, *(event("a", number) for number in range(100)))
        await world.until(lambda: history.of("a") == list(range(100)))
        await settled(world)


async def test_an_expired_event_is_a_dead_letter_and_nobody_waits_for_it(world):
    history = History(world)
    past = datetime.now(UTC) - timedelta(seconds=1)
    gone = msgspec.structs.replace(event("a", 0), expiration=past)
    async with world.running(history.group()):
        await emit(world, gone, event("a", 1))
        await world.until(lambda: history.of("a") == [1])
    assert [metadata["reason"] for _, metadata in await world.dead(TOPIC)] == ["expired"]


async def test_an_unreadable_entry_is_a_dead_letter_and_nobody_waits_for_it(world):
    history = History(world)
    async with world.running(history.group()):
        await world.store.xadd(TOPIC, {"data": b"no event"})
        await emit(world, event("a", 1))
        await world.until(lambda: history.of("a") == [1])
    assert [metadata["reason"] for _, metadata in await world.dead(TOPIC)] == ["undecodable"]


async def test_a_new_leader_takes_up_what_is_parked_and_what_was_set_aside(world):
    history = History(world)
    history.fail["a", 0] = [TimeoutError("slow")]
    async with world.running(history.group()):
        await emit(world, *(event("a", number) for number in range(5)))
        await world.until(lambda: _is(world, {"a": ("retry", 4)}))
    await emit(world, event("a", 5))
    async with world.running(history.group(), retries(world)):
        await world.until(lambda: history.of("a") == list(range(6)))
        await settled(world)


async def test_what_was_parked_is_released_when_the_group_skips_from_now_on(world):
    history = History(world)
    history.fail["a", 0] = [Reject("no")]
    async with world.running(history.group()):
        await emit(world, *(event("a", number) for number in range(5)))
        await world.until(lambda: _is(world, {"a": ("dead letter", 4)}))
    async with world.running(history.group(ordered="skip")):
        await emit(world, event("a", 5))
        await world.until(lambda: history.of("a") == [1, 2, 3, 4, 5])
        await settled(world)


async def test_a_group_that_is_ordered_no_more_refuses_to_leave_parked_events_behind(world):
    history = History(world)
    history.fail["a", 0] = [Reject("no")]
    async with world.running(history.group()):
        await emit(world, *(event("a", number) for number in range(2)))
        await world.until(lambda: _is(world, {"a": ("dead letter", 1)}))
    with pytest.raises(Conflict, match="parked"):
        await ordered(world, history.consumer(ordered=None)).run(Stop())


async def test_two_processes_one_leads_and_the_other_takes_over_within_moments(world):
    history = History(world)
    first, second = Stop(), Stop()
    tasks = [asyncio.create_task(history.group().run(stop)) for stop in (first, second)]
    await emit(world, *(event("a", number) for number in range(50)))
    await world.until(lambda: len(history.done) == 50)
    first.set()
    await tasks[0]
    await emit(world, *(event("a", number) for number in range(50, 100)))
    await world.until(lambda: len(history.done) == 100)
    second.set()
    await tasks[1]
    assert history.of("a") == list(range(100))


async def test_a_paused_group_reads_nothing_and_releases_nothing(world):
    history = History(world)
    history.fail["a", 0] = [TimeoutError("slow")]
    async with world.running(history.group()):
        await emit(world, *(event("a", number) for number in range(3)))
        await world.until(lambda: _is(world, {"a": ("retry", 2)}))
        await world.store.sadd("opsplane:paused", GROUP)
        await asyncio.sleep(1.2)
        await retries(world).move()
        await emit(world, event("b", 0))
        await asyncio.sleep(0.8)
        assert history.done == []
        await world.store.srem("opsplane:paused", GROUP)
        async with world.running(retries(world)):
            await world.until(lambda: (history.of("a"), history.of("b")) == ([0, 1, 2], [0]))


async def test_a_pause_also_stops_what_was_set_aside(world):
    done = []

    @consumer(TOPIC, group=GROUP, ordered="park", retry=Retry(3, "50ms"))
    async def handle(found: Event, ctx: Context) -> None:
        if found.data["n"] == 0 and not await world.store.set("failed", "1", nx=True):
            await world.store.sadd("opsplane:paused", GROUP)
        elif found.data["n"] == 0:
            raise TimeoutError("slow")
        await asyncio.sleep(0.02)
        done.append(found.data["n"])

    async with world.running(ordered(world, handle), retries(world)):
        await emit(world, *(event("a", number) for number in range(121)))
        await world.until(lambda: len(done) >= 10)
        await asyncio.sleep(4.0)
        assert len(done) < 121
        assert await parked(world) == {"a": ("release", 121 - len(done))}
        await world.store.srem("opsplane:paused", GROUP)
        await world.until(lambda: done == list(range(121)))


async def test_an_event_replayed_under_another_subject_still_releases_the_one_it_held_up(world):
    history = History(world)
    history.fail["a", 0] = [Reject("no")]
    async with world.running(history.group()):
        first = event("a", 0)
        await emit(world, first, event("a", 1))
        await world.until(lambda: _is(world, {"a": ("dead letter", 1)}))
        edited = msgspec.structs.replace(first, subject="b")
        await world.store.xadd(
            keys.retry_stream(GROUP),
            {"data": encode(edited), "metadata": json.dumps({"sourceTopic": TOPIC, "sourceId": "1-1"})},
        )
        await world.until(lambda: history.done == [("b", 0), ("a", 1)])
        await settled(world)


async def test_what_consumers_left_from_the_time_before_the_group_was_ordered_is_taken_over(world):
    history = History(world)
    await emit(world, *(event("a", number) for number in range(10)))
    reader = await world.broker.reader(GROUP, "dead-1", [TOPIC])
    assert len(await reader.read(5, 0.1)) == 5
    await reader.close()
    async with world.running(history.group()):
        await world.until(lambda: history.of("a") == list(range(10)))
        await settled(world)


async def test_reading_stops_while_too_much_is_in_flight(world):
    gate = asyncio.Event()

    @consumer(TOPIC, group=GROUP, ordered="park", concurrency=2)
    async def handle(found: Event, ctx: Context) -> None:
        await gate.wait()

    await emit(world, *(event(f"s{number}", number) for number in range(300)))
    async with world.running(ordered(world, handle, prefetch=40)):
        await world.until(lambda: _pending(world, 80))
        await asyncio.sleep(0.6)
        assert await world.pending(GROUP, TOPIC) <= 100
        gate.set()
        await settled(world)


async def test_mixed_or_batched_declarations_are_refused(world):
    history = History(world)
    with pytest.raises(InvalidInput, match="differ in ordered"):
        ordered(world, history.consumer(), history.consumer(SECOND, ordered="skip"))
    with pytest.raises(InvalidInput, match="both batch and ordered"):
        history.consumer(batch=5)
    assert isinstance(history.group(), OrderedGroup)
    assert isinstance(history.group(ordered=None), ConsumerGroup)


async def test_a_handler_past_its_timeout_is_ended_and_its_lane_waits(world):
    slow = [30.0]
    done = []

    @consumer(TOPIC, group=GROUP, ordered="park", timeout="200ms", retry=Retry(3, "50ms"))
    async def handle(found: Event, ctx: Context) -> None:
        if slow:
            await asyncio.sleep(slow.pop())
        done.append(found.data["n"])

    async with world.running(ordered(world, handle), retries(world)):
        await emit(world, *(event("a", number) for number in range(5)))
        await world.until(lambda: done == list(range(5)))


async def test_an_outage_of_a_dependency_parks_nothing_and_keeps_the_order(world):
    away, done = asyncio.Event(), []

    @consumer(TOPIC, group=GROUP, ordered="park", concurrency=4, dependencies=("index",), retry=Retry(0))
    async def handle(found: Event, ctx: Context) -> None:
        if away.is_set():
            raise ConnectionError("away")
        done.append((found.subject, found.data["n"]))

    away.set()
    group = ordered(world, handle, breaker=BreakerPolicy(wait="300ms"))
    async with world.running(group):
        await emit(world, *(event(f"s{number % 3}", number) for number in range(30)))
        await world.until(lambda: _open(group))
        await asyncio.sleep(0.5)
        assert (done, await parked(world), await world.dead(TOPIC)) == ([], {}, [])
        away.clear()
        await world.until(lambda: len(done) == 30)
        await settled(world)
    for subject in range(3):
        assert [number for name, number in done if name == f"s{subject}"] == list(range(subject, 30, 3))


async def test_an_event_that_ended_every_leader_is_a_dead_letter_and_holds_up_its_subject(world):
    history = History(world)
    await emit(world, event("a", 0), event("b", 0), event("a", 1))
    reader = await world.broker.reader(GROUP, LEADER, [TOPIC])
    entries = await reader.read(3, 0.1)
    await reader.close()
    await world.store.hset(keys.started(GROUP), keys.place(TOPIC, entries[0].id), "3")
    async with world.running(history.group()):
        await world.until(lambda: history.of("b") == [0])
        await world.until(lambda: _is(world, {"a": ("dead letter", 1)}))
    assert [metadata["reason"] for _, metadata in await world.dead(TOPIC)] == ["poison"]
    assert history.calls == [("b", 0)]


@pytest.mark.parametrize(("started", "together"), [("0", True), ("1", False)])
async def test_only_what_may_have_ended_a_leader_is_run_one_at_a_time(world, started, together):
    history = History(world)
    await emit(world, *(event(f"s{number}", number) for number in range(8)))
    reader = await world.broker.reader(GROUP, LEADER, [TOPIC])
    for entry in await reader.read(8, 0.1):
        await world.store.hset(keys.started(GROUP), keys.place(TOPIC, entry.id), started)
    await reader.close()
    async with world.running(history.group()):
        await world.until(lambda: len(history.done) == 8)
        await settled(world)
    assert (history.most > 1) is together
    assert await world.store.hgetall(keys.started(GROUP)) == {}


async def test_what_was_set_aside_and_ended_every_leader_is_a_dead_letter_too(world):
    history = History(world)
    history.fail["a", 0] = [TimeoutError("slow")]
    async with world.running(history.group()):
        await emit(world, *(event("a", number) for number in range(3)))
        await world.until(lambda: _is(world, {"a": ("retry", 2)}))
    first = (await world.store.lrange(keys.aside(GROUP, "a"), 0, 0))[0]
    source = json.loads(unpacked(first)[0])["sourceId"]
    place = keys.place(keys.aside(GROUP, "a"), keys.place(TOPIC, source))
    await world.store.hset(keys.started(GROUP), place, "3")
    async with world.running(history.group(), retries(world)):
        await world.until(lambda: _is(world, {"a": ("dead letter", 1)}))
    assert history.of("a") == [0]
    assert [metadata["reason"] for _, metadata in await world.dead(TOPIC)] == ["poison"]


def _open(group):
    return bool(group._guard.breakers.open)


async def _is(world, wanted):
    return await parked(world) == wanted


async def _pending(world, least):
    if not await world.store.xinfo_groups(TOPIC):
        return False
    return await world.pending(GROUP, TOPIC) >= least

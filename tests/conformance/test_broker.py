"""What every broker does. The behaviours follow the pub/sub conformance tests of Dapr's components, in our words."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from opsplane.clock import SYSTEM
from opsplane.events import (
    Broker,
    BrokerUnavailable,
    Consumer,
    ConsumerGroup,
    Entry,
    Outbox,
    RetryMover,
    Schemas,
    Service,
    consumer,
    encode,
    new_event,
)
from opsplane.events.broker import Done, PartlyPublished
from opsplane.resilience import Retry, Stop, run_duties

TOPIC = "conformance.thing.done"
OTHER = "conformance.other.done"
GROUP = "conformance"


@dataclass
class Subject:
    """A broker under test: with a service's rights, with those of the `events` role, and ways to look and to hurt."""

    broker: Broker
    events: Broker
    refuse: Callable[[str], Awaitable[object]]
    forget: Callable[[], Awaitable[object]]
    disconnect: Callable[[], Awaitable[object]]

    def group(self, *consumers: Consumer, broker: Broker | None = None) -> ConsumerGroup:
        service = Service("conformance", None, Outbox(Schemas(), "test"), SYSTEM)  # type: ignore[arg-type]
        return ConsumerGroup(consumers, service, broker or self.broker, Schemas(), recovery_interval=0.05)

    async def publish(self, *numbers: int, topic: str = TOPIC) -> list[str]:
        events = [new_event(topic, {"number": number}, source="test") for number in numbers]
        return await self.broker.publish_many([Entry(topic, encode(event)) for event in events])


@pytest.fixture
async def subject(brokers) -> AsyncIterator[Subject]:
    broker, events, admin = (brokers(user) for user in ("service", "events", "admin"))
    yield Subject(
        broker,
        events,
        refuse=lambda stream: admin.call("SET", stream, "not a stream"),
        forget=lambda: admin.call("FLUSHALL"),
        disconnect=lambda: admin.call("CLIENT", "KILL", "USER", "service"),
    )
    for one in (broker, events, admin):
        await one.close()


@pytest.fixture
def duties():
    return Running


class Running:
    """Duties for the length of a block."""

    def __init__(self, *duties):
        self._duties, self._stop = duties, Stop()

    async def __aenter__(self):
        self._task = asyncio.create_task(run_duties(self._duties, self._stop))
        return self

    async def __aexit__(self, *_):
        self._stop.set()
        await self._task


async def until(check, timeout: float = 20.0):
    async with asyncio.timeout(timeout):
        while True:
            found = check()
            if found := (await found if asyncio.iscoroutine(found) else found):
                return found
            await asyncio.sleep(0.01)


def remembering(topic: str, seen: list, group: str = GROUP, **options) -> Consumer:
    @consumer(topic, group=group, **options)
    async def handle(event, ctx) -> None:
        seen.append(event.data["number"])

    return handle


async def test_it_answers(subject):
    assert await subject.broker.call("PING")


async def test_published_events_are_read_in_order(subject, duties):
    seen: list[int] = []
    async with duties(subject.group(remembering(TOPIC, seen))):
        for first in range(0, 1000, 100):
            await subject.publish(*range(first, first + 100))
        await until(lambda: len(seen) >= 1000)
    assert seen == list(range(1000))


async def test_events_published_before_the_first_subscription_are_read(subject, duties):
    seen: list[int] = []
    await subject.publish(1, 2)
    async with duties(subject.group(remembering(TOPIC, seen))):
        await until(lambda: seen == [1, 2])


async def test_failed_events_come_back_and_hold_up_nobody(subject, duties):
    calls, done, held_up = Counter(), [], []

    @consumer(TOPIC, group=GROUP, retry=Retry(5, "300ms"))
    async def handle(event, ctx) -> None:
        number = event.data["number"]
        calls[number] += 1
        if calls[number] == 1 and (number < 2 or number % 5 == 0):
            raise TimeoutError("at first")
        if calls[number] > 1:
            held_up.append(number)
        done.append(number)

    async with duties(subject.group(handle), RetryMover(subject.events, [GROUP], SYSTEM)):
        await subject.publish(*range(50))
        await until(lambda: len(done) == 50)
    failed = {number for number in range(50) if number < 2 or number % 5 == 0}
    assert set(done[: 50 - len(failed)]) == set(range(50)) - failed
    assert set(held_up) == failed
    assert {number: calls[number] for number in range(50)} == {n: 1 + (n in failed) for n in range(50)}


async def test_bulk_publishing_reports_each_entry_the_broker_refused(subject):
    await subject.refuse(OTHER)
    entries = [Entry(OTHER if number % 3 == 1 else TOPIC, b"{}") for number in range(7)]
    with pytest.raises(PartlyPublished) as refused:
        await subject.broker.publish_many(entries)
    assert [one is None for one in refused.value.ids] == [number % 3 == 1 for number in range(7)]
    assert refused.value.reasons.keys() == {1, 4}
    reader = await subject.broker.reader(GROUP, "one", [TOPIC])
    assert len(await reader.read(10, 0.1)) == 5
    await reader.close()


async def test_of_a_batch_only_the_failed_come_back(subject, duties):
    calls, done = Counter(), Counter()

    @consumer(TOPIC, group=GROUP, batch=10, retry=Retry(5, "50ms"))
    async def handle(events, ctx) -> None:
        numbers = [event.data["number"] for event in events]
        calls.update(numbers)
        if any(number % 4 == 0 and calls[number] < 3 for number in numbers):
            raise TimeoutError("one of them")
        done.update(numbers)

    async with duties(subject.group(handle), RetryMover(subject.events, [GROUP], SYSTEM)):
        await subject.publish(*range(20))
        await until(lambda: len(done) == 20)
        await asyncio.sleep(0.2)
    assert set(done.values()) == {1}, "nothing that succeeded is handled again"


async def test_topics_do_not_mix(subject, duties):
    here: list[int] = []
    there: list[int] = []
    async with duties(subject.group(remembering(TOPIC, here), remembering(OTHER, there))):
        await asyncio.gather(subject.publish(*range(100)), subject.publish(*range(100, 200), topic=OTHER))
        await until(lambda: len(here) + len(there) >= 200)
    assert (here, there) == (list(range(100)), list(range(100, 200)))


async def test_one_handler_of_two_topics_knows_which_is_which(subject, duties):
    seen: list[tuple[str, int]] = []

    @consumer((TOPIC, OTHER), group=GROUP)
    async def handle(event, ctx) -> None:
        seen.append((event.type, event.data["number"]))

    async with duties(subject.group(handle)):
        await asyncio.gather(subject.publish(1, 2), subject.publish(3, topic=OTHER))
        await until(lambda: len(seen) >= 3)
    assert sorted(seen) == [(OTHER, 3), (TOPIC, 1), (TOPIC, 2)]


async def test_each_group_gets_every_event_and_each_member_its_share(subject, duties):
    first, second, other = [], [], []
    async with duties(
        subject.group(remembering(TOPIC, first)),
        subject.group(remembering(TOPIC, second)),
        subject.group(remembering(TOPIC, other, group="another")),
    ):
        await subject.publish(*range(300))
        await until(lambda: len(first) + len(second) >= 300 and len(other) >= 300)
    assert sorted(first + second) == other == list(range(300))


async def test_nothing_is_delivered_after_the_subscription_was_closed(subject, duties):
    seen: list[int] = []
    group = subject.group(remembering(TOPIC, seen))
    async with duties(group):
        await subject.publish(1)
        await until(lambda: seen == [1])
    await subject.publish(2)
    await asyncio.sleep(0.7)
    assert seen == [1]
    async with duties(group):
        await until(lambda: seen == [1, 2])


async def test_entries_of_a_consumer_that_died_are_delivered_again(subject, duties):
    await subject.publish(*range(5))
    reader = await subject.broker.reader(GROUP, "dead", [TOPIC])
    assert len(await reader.read(10, 0.1)) == 5
    await reader.close()
    seen: list[int] = []
    async with duties(subject.group(remembering(TOPIC, seen))):
        await until(lambda: len(seen) == 5)
    assert seen == list(range(5))


async def test_who_lives_keeps_what_it_holds_and_who_ended_does_not(subject):
    await subject.publish(1, 2)
    await subject.broker.lease(GROUP, "first")
    reader = await subject.broker.reader(GROUP, "first", [TOPIC])
    held = await reader.read(10, 0.1)
    assert await subject.broker.dead_consumers(GROUP, [TOPIC]) == []
    await subject.broker.unlease(GROUP, "first")
    async with asyncio.timeout(3.0):  # a renewal that was under way is taken back
        while await subject.broker.dead_consumers(GROUP, [TOPIC]) != ["first"]:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.6)  # nobody takes over what was delivered a moment ago
    for entry in held:
        assert await subject.broker.claim_one(GROUP, "second", "first", [TOPIC]) == entry
        assert [await subject.broker.count_start(GROUP, entry) for _ in range(2)] == [1, 2]
    assert await subject.broker.claim_one(GROUP, "third", "first", [TOPIC]) is None
    await reader.close()


async def test_what_is_held_is_not_idle_and_counts_no_delivery_and_starts_can_be_taken_back(subject):
    ids = await subject.publish(*range(3))
    await subject.broker.lease(GROUP, "first")
    reader = await subject.broker.reader(GROUP, "first", [TOPIC])
    held = await reader.read(10, 0.1)
    await subject.events.call("XDEL", TOPIC, ids[1])
    await asyncio.sleep(0.6)
    await subject.broker.hold(GROUP, "first", held)
    await subject.broker.hold(GROUP, "first", [])
    await subject.broker.unlease(GROUP, "first")
    rows = {
        row[0].decode(): row for row in await subject.events.call("XPENDING", TOPIC, GROUP, "-", "+", "9")
    }
    for kept in (ids[0], ids[2]):
        assert (rows[kept][1], rows[kept][3]) == (b"first", 1)
        assert rows[kept][2] < 600
    assert await subject.broker.claim_one(GROUP, "second", "first", [TOPIC]) is None, (
        "it was touched just now"
    )
    assert [await subject.broker.count_start(GROUP, held[0]) for _ in range(2)] == [1, 2]
    await subject.broker.uncount_start(GROUP, held[0])
    assert await subject.broker.count_start(GROUP, held[0]) == 2
    await subject.broker.uncount_start(GROUP, held[2])
    assert await subject.broker.count_start(GROUP, held[2]) == 1
    await reader.close()


async def test_an_entry_deleted_meanwhile_is_no_obstacle_to_the_rest(subject, duties):
    ids = await subject.publish(*range(4))
    reader = await subject.broker.reader(GROUP, "dead", [TOPIC])
    assert len(await reader.read(10, 0.1)) == 4
    await reader.close()
    await subject.events.call("XDEL", TOPIC, ids[0], ids[2])
    seen: list[int] = []
    async with duties(subject.group(remembering(TOPIC, seen))):
        await until(lambda: len(seen) == 2)
    assert seen == [1, 3]
    assert await subject.broker.dead_consumers(GROUP, [TOPIC]) == [], "nothing is held any more"


@pytest.mark.parametrize("data", [b"", b"\x00\xff\xfe", "Ω≈ç√ 田中さん \u202e".encode(), b"x" * 1_000_000])
async def test_bytes_and_metadata_come_as_they_were_published_also_after_a_retry(subject, data):
    metadata = {"naïve": 'quote " \n \u2028', "": "empty name"}
    await subject.broker.publish_many([Entry(TOPIC, data, metadata)])
    reader = await subject.broker.reader(GROUP, "one", [TOPIC])
    [entry] = await reader.read(10, 0.1)
    assert (entry.stream, entry.data, entry.metadata) == (TOPIC, data, metadata)
    await subject.broker.schedule_retry(GROUP, entry, {**metadata, "attempts": "[]"}, due=10.0)
    assert await reader.read(10, 0.05) == []
    assert await subject.events.move_due_retries(GROUP, 9.0) == 0
    assert await subject.events.move_due_retries(GROUP, 11.0) == 1
    [again] = await reader.read(10, 0.1)
    assert (again.data, again.metadata) == (data, {**metadata, "attempts": "[]"})
    await subject.broker.dead_letter(GROUP, again, TOPIC, {"reason": "test"})
    letters = await subject.broker.reader("letters", "one", [f"{TOPIC}.dlq"])
    [letter] = await letters.read(10, 0.1)
    assert (letter.data, letter.metadata) == (data, {"reason": "test"})
    assert await subject.broker.dead_consumers(GROUP, [TOPIC]) == [], "nothing is held any more"
    await reader.close()
    await letters.close()


async def test_more_retries_than_are_moved_at_once_are_moved_all(subject):
    await subject.publish(*range(450))
    reader = await subject.broker.reader(GROUP, "one", [TOPIC])
    for entry in await reader.read(1000, 0.1):
        await subject.broker.schedule_retry(GROUP, entry, {"id": entry.id}, due=1.0)
    assert await subject.events.move_due_retries(GROUP, 2.0) == 450
    found = [json.loads(entry.data)["data"]["number"] for entry in await reader.read(1000, 0.1)]
    assert sorted(found) == list(range(450))
    await reader.close()


async def test_settled_entries_are_acknowledged_and_seen(subject):
    await subject.publish(1, 2)
    reader = await subject.broker.reader(GROUP, "one", [TOPIC])
    first, second = await reader.read(10, 0.1)
    await subject.broker.settle(
        GROUP, [Done(TOPIC, first.id, "a"), Done(TOPIC, second.id, "b", replay_of="17")]
    )
    assert await subject.broker.dead_consumers(GROUP, [TOPIC]) == []
    assert await subject.broker.seen(GROUP, ["a", "c", "b"]) == [True, False, True]
    assert await subject.broker.seen("another", ["a"]) == [False]
    await reader.close()


async def test_a_broker_that_lost_everything_is_read_from_its_new_beginning(subject, duties):
    seen: list[int] = []
    async with duties(subject.group(remembering(TOPIC, seen))):
        await subject.publish(1)
        await until(lambda: seen == [1])
        await subject.forget()
        await subject.publish(2)
        await until(lambda: seen == [1, 2])


async def test_lost_connections_are_made_again_and_nothing_is_missed(subject, duties):
    seen: list[int] = []
    async with duties(subject.group(remembering(TOPIC, seen))):
        for number in range(5):
            await subject.disconnect()
            for _ in range(50):
                try:
                    await subject.publish(number)
                    break
                except BrokerUnavailable:
                    await asyncio.sleep(0.02)
        await until(lambda: set(seen) == set(range(5)))


async def test_an_interruption_can_be_noticed_although_calls_go_on(subject):
    await subject.publish(1)
    before = subject.broker.interruptions
    await subject.disconnect()
    await until(lambda: subject.broker.interruptions == before + 1)
    await subject.publish(2)
    assert subject.broker.interruptions == before + 1


async def test_a_reader_whose_connection_was_lost_does_not_pretend_it_was_not(subject):
    reader = await subject.broker.reader(GROUP, "one", [TOPIC])
    await subject.disconnect()
    await asyncio.sleep(0.05)
    for _ in range(2):
        with pytest.raises(BrokerUnavailable):
            await reader.read(1, 0.01)
    await reader.close()


async def test_calls_side_by_side_get_their_own_answers(subject):
    echoes = await asyncio.gather(*(subject.broker.call("ECHO", f"n{number}") for number in range(500)))
    assert [one.decode() for one in echoes] == [f"n{number}" for number in range(500)]
    tasks = [asyncio.create_task(subject.broker.call("ECHO", f"n{number}")) for number in range(50)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    rest = await asyncio.gather(*tasks[1::2])
    assert [one.decode() for one in rest] == [f"n{number}" for number in range(1, 50, 2)]


async def test_after_a_restart_of_the_server_nothing_published_or_held_is_missing(subject, server, duties):
    await subject.publish(*range(10))
    reader = await subject.broker.reader(GROUP, "dead", [TOPIC])
    assert len(await reader.read(4, 0.1)) == 4
    await reader.close()
    await asyncio.to_thread(server.stop)
    with pytest.raises(BrokerUnavailable):
        await subject.publish(10)
    server.start()  # from this thread, to which the kernel ties the server's life
    seen: list[int] = []
    async with duties(subject.group(remembering(TOPIC, seen))):
        await until(lambda: len(seen) >= 10)
    assert sorted(seen) == list(range(10))


async def test_a_service_may_run_no_scripts_and_change_no_server(subject):
    for command in (("EVAL", "return 1", "0"), ("CONFIG", "SET", "appendonly", "no"), ("FLUSHALL",)):
        with pytest.raises(BrokerUnavailable, match="NOPERM"):
            await subject.broker.call(*command)

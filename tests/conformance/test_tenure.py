"""What every broker does for the leader of an ordered group, and refuses a former one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from opsplane.events import BrokerUnavailable, Entry
from opsplane.events.broker import Delivered, Done
from opsplane.events.fence import Deposed
from opsplane.events.tenure import Parked, Tenure

TOPIC, OTHER, GROUP, SUBJECT = "conformance.thing.done", "conformance.other.done", "ledger", "a"
HELD = Parked("shop", "e0", TOPIC, datetime.now(UTC), "retry", {TOPIC: "1-1"})
Lead = Callable[[int], Awaitable[Tenure]]


@pytest.fixture
async def broker(brokers):
    found = brokers("service")
    yield found
    await found.close()


@pytest.fixture
async def lead(broker) -> AsyncIterator[Lead]:
    begun = []

    async def begin(epoch: int) -> Tenure:
        begun.append(await broker.lead(GROUP, epoch, f"leader-{epoch}", [TOPIC, OTHER]))
        return begun[-1]

    yield begin
    for one in begun:
        await one.close()


async def publish(broker, *numbers, topic=TOPIC):
    return await broker.publish_many([Entry(topic, b"%d" % number) for number in numbers])


def kept(entry: Delivered) -> Delivered:
    return entry._replace(metadata={"sourceTopic": entry.stream, "sourceId": entry.id})


async def test_entries_of_all_topics_come_by_age(broker, lead):
    tenure = await lead(1)
    for number in range(10):
        await publish(broker, number, topic=TOPIC if number % 3 else OTHER)
        await asyncio.sleep(0.002)
    entries = await tenure.read(100, 1.0)
    assert [int(one.data) for one in entries] == list(range(10))


async def test_waiting_for_an_entry_takes_none(broker, lead):
    tenure = await lead(1)
    waiting = asyncio.create_task(tenure.read(10, 5.0))
    await asyncio.sleep(0.1)
    await publish(broker, 1)
    assert await asyncio.wait_for(waiting, 2.0) == []
    assert [one.data for one in await tenure.read(10, 1.0)] == [b"1"]


async def test_the_next_leader_has_what_the_last_was_given_and_did_not_settle(broker, lead):
    first = await lead(1)
    await publish(broker, *range(4))
    entries = await first.read(10, 1.0)
    await first.settle(GROUP, [Done(entries[0].stream, entries[0].id, "e0")], {})
    await first.schedule_retry(GROUP, entries[1], {"sourceTopic": TOPIC}, 0.0, {})
    await first.dead_letter(GROUP, entries[2], TOPIC, {"reason": "rejected"}, {})
    second = await lead(2)
    assert [one.data for one in await second.pending()] == [b"3"]
    assert await broker.seen(GROUP, ["e0", "e1"]) == [True, False]
    assert await broker.call("XLEN", f"{TOPIC}.dlq") == 1


async def test_what_was_set_aside_comes_back_in_order_and_goes_when_it_is_settled(broker, lead):
    tenure = await lead(1)
    await publish(broker, *range(5))
    entries = await tenure.read(10, 1.0)
    for few in (entries[:2], entries[2:]):
        await tenure.set_aside(SUBJECT, [kept(one) for one in few], {SUBJECT: HELD})
    tenure = await lead(2)
    assert await tenure.pending() == []
    assert await tenure.parked() == {SUBJECT: (HELD, 5)}
    found = await tenure.aside(SUBJECT, 3)
    assert [one.data for one in found] == [b"0", b"1", b"2"]
    assert found[0].metadata == {"sourceTopic": TOPIC, "sourceId": entries[0].id}
    await tenure.settle(GROUP, [Done(one.stream, one.id, one.id) for one in found[:2]], {})
    await tenure.schedule_retry(GROUP, found[2], found[2].metadata, 0.0, {})
    rest = await tenure.aside(SUBJECT, 10)
    assert [one.data for one in rest] == [b"3", b"4"]
    await tenure.settle(GROUP, [Done(one.stream, one.id, one.id) for one in rest], {SUBJECT: None})
    assert await tenure.parked() == {}


async def test_a_former_leader_is_refused_whatever_it_wants(broker, lead):
    first = await lead(1)
    await publish(broker, *range(3))
    entries = await first.read(1, 1.0)
    await lead(2)
    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: first.read(10, 0.1),
        lambda: first.settle(GROUP, [Done(TOPIC, entries[0].id, "e")], {}),
        lambda: first.schedule_retry(GROUP, entries[0], {}, 0.0, {SUBJECT: HELD}),
        lambda: first.dead_letter(GROUP, entries[0], TOPIC, {"reason": "rejected"}, {}),
        lambda: first.set_aside(SUBJECT, [kept(entries[0])], {SUBJECT: HELD}),
    ]
    for attempt in attempts:
        with pytest.raises(Deposed):
            await attempt()
    assert (await broker.call("XPENDING", TOPIC, GROUP))[0] == 1, "nothing was taken, nothing acknowledged"
    for key in (f"opsplane:parked:{GROUP}", f"opsplane:retry:{GROUP}", f"{TOPIC}.dlq"):
        assert await broker.call("EXISTS", key) == 0


async def test_a_leader_that_comes_too_late_does_not_begin(broker, lead):
    second = await lead(2)
    with pytest.raises(Deposed):
        await lead(1)
    assert await broker.epoch(GROUP) == 2
    await publish(broker, 1)
    assert len(await second.read(10, 1.0)) == 1


async def test_a_leader_whose_connection_was_lost_does_nothing_more(broker, brokers, lead):
    tenure = await lead(1)
    admin = brokers("admin")
    await admin.call("CLIENT", "KILL", "USER", "service")
    await admin.close()
    await asyncio.sleep(0.05)
    with pytest.raises(BrokerUnavailable):
        await tenure.settle(GROUP, [], {SUBJECT: HELD})


async def test_what_dead_consumers_of_an_unordered_time_held_is_the_leaders(broker, lead):
    await publish(broker, *range(4))
    reader = await broker.reader(GROUP, "before", [TOPIC])
    assert len(await reader.read(4, 1.0)) == 4
    await reader.close()
    assert [one.data for one in await (await lead(1)).pending()] == [b"0", b"1", b"2", b"3"]

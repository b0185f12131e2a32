from __future__ import annotations

import asyncio

import pytest

from opsplane.errors import InvalidInput
from opsplane.events import BrokerUnavailable, Relay, decode, new_event
from opsplane.resilience import Stop

TOPIC = "shop.item.created"
OTHER = "shop.item.deleted"


def relay(world, broker=None, **options):
    return Relay("shop", world.pool, broker or world.broker, world.doorbell, **options)


async def publish(world, *events):
    async with world.pool.transaction() as tx:
        await world.outbox.publish(tx, *events)


async def stream(world, topic=TOPIC):
    return [decode(fields[b"data"]) for _, fields in await world.store.xrange(topic)]


async def drain(world, **options):
    while await relay(world, **options).publish_waiting():
        pass


async def test_a_rolled_back_transaction_publishes_nothing(world):
    with pytest.raises(ZeroDivisionError):
        await _publish_and_fail(world)
    await drain(world)
    assert await stream(world) == []
    await publish(world, world.item(2))
    await drain(world)
    assert [event.data["sku"] for event in await stream(world)] == ["p2"]


async def test_an_invalid_event_is_refused_before_anything_is_written(world):
    async with world.pool.transaction() as tx:
        with pytest.raises(InvalidInput) as refused:
            await world.outbox.publish(tx, world.item(1), world.item(2, price=-1, colour="red"))
    assert {one["pointer"] for one in refused.value.violations} == {"/price", ""}
    assert await world.pool.fetch("select 1 from outbox") == []


async def test_events_keep_their_order_and_are_numbered_per_subject(world):
    events = [world.item(number) for number in range(10)]
    await publish(world, *events[:4])
    await publish(world, *events[4:])
    await drain(world)
    found = await stream(world)
    assert [event.id for event in found] == [event.id for event in events]
    assert [event.sequence for event in found if event.subject == "p0"] == ["1", "2", "3", "4"]
    await publish(world, world.item(0))
    await drain(world)
    assert (await stream(world))[-1].sequence == "5"


async def test_an_event_committed_late_is_not_passed_over(world):
    async with world.pool.transaction() as early:
        await world.outbox.publish(early, world.item(1))
        await publish(world, world.item(2))
        await drain(world)
        assert [event.data["sku"] for event in await stream(world)] == ["p2"]
    await drain(world)
    assert [event.data["sku"] for event in await stream(world)] == ["p2", "p1"]


async def lose(world, count, topic=TOPIC):
    """The last entries of a topic are gone."""
    for entry_id, _ in (await world.store.xrevrange(topic))[:count]:
        await world.store.xdel(topic, entry_id)


async def test_what_the_broker_lost_of_its_last_writes_is_sent_first_under_its_numbers(world):
    events = [world.item(number) for number in range(20)]
    await publish(world, *events[:15], new_event(OTHER, {}, source="shop"))
    await drain(world)
    await world.store.delete(OTHER)
    await lose(world, 6)
    await publish(world, *events[15:])
    await drain(world)
    found = await stream(world)
    assert [event.id for event in found] == [event.id for event in events]
    assert [event.sequence for event in found if event.subject == "p1"] == [str(n + 1) for n in range(7)]
    assert len(await stream(world, OTHER)) == 1
    await publish(world, world.item(1))
    await drain(world)
    assert (await stream(world))[-1].sequence == "8"


async def test_a_broker_that_was_emptied_is_left_to_a_rebuild(world):
    await publish(world, world.item(1), world.item(2))
    await drain(world)
    await world.store.delete(TOPIC)
    await drain(world)
    assert await stream(world) == []


async def test_entries_trimmed_on_purpose_do_not_come_back(world):
    await publish(world, *[world.item(number) for number in range(10)])
    await drain(world)
    await asyncio.sleep(0.002)  # the last entry's millisecond is its own
    await publish(world, world.item(10))
    await drain(world)
    await world.store.xtrim(TOPIC, maxlen=1, approximate=False)
    await drain(world)
    assert len(await stream(world)) == 1


async def test_one_refused_topic_does_not_hold_up_the_others(world):
    await world.store.set(OTHER, "no stream")
    await publish(world, new_event(OTHER, {}, source="shop"), world.item(1))
    with pytest.raises(BrokerUnavailable, match="WRONGTYPE"):
        await relay(world).publish_waiting()
    assert len(await stream(world)) == 1
    await world.store.delete(OTHER)
    await drain(world)
    assert (len(await stream(world)), len(await stream(world, OTHER))) == (1, 1)


async def test_one_relay_at_a_time_publishes_and_another_takes_over(world):
    first, second = Stop(), Stop()
    tasks = [asyncio.create_task(relay(world).run(stop)) for stop in (first, second)]
    sent = []
    for number in range(10):
        sent.append(world.item(number))
        await publish(world, sent[-1])
    await world.until(lambda: _length(world, 10))
    first.set()
    await tasks[0]
    sent.append(world.item(99))
    await publish(world, sent[-1])
    await world.until(lambda: _length(world, 11))
    second.set()
    await tasks[1]
    assert [event.id for event in await stream(world)] == [event.id for event in sent]


async def test_published_events_are_kept_for_the_retention_and_no_longer(world):
    await publish(world, world.item(1))
    await drain(world)
    await publish(world, world.item(2))
    await relay(world)._keep_house()
    assert len(await world.pool.fetch("select 1 from outbox")) == 2
    await relay(world, retention=0.0)._keep_house()
    assert len(await world.pool.fetch("select 1 from outbox where published_at is null")) == 1
    assert len(await world.pool.fetch("select 1 from outbox")) == 1


async def _length(world, count):
    return await world.store.xlen(TOPIC) == count


async def _publish_and_fail(world):
    async with world.pool.transaction() as tx:
        await world.outbox.publish(tx, world.item())
        raise ZeroDivisionError

"""Events that are published later: through the outbox, and directly."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from opsplane.clock import ManualClock
from opsplane.database import sql
from opsplane.errors import InvalidInput
from opsplane.events import ConsumerGroup, Relay, consumer, decode, encode
from opsplane.events.brokers.keys import DELAYED
from opsplane.events.delayed import DelayedMover, count, delay

TOPIC = "shop.item.created"


def later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def publish(world, *events, deliver_at=None):
    async with world.pool.transaction() as tx:
        await world.outbox.publish(tx, *events, deliver_at=deliver_at)


async def skus(world):
    return [decode(fields[b"data"]).data["sku"] for _, fields in await world.store.xrange(TOPIC)]


def relay(world):
    return Relay("shop", world.pool, world.broker, world.doorbell)


async def make_due(world):
    await world.pool.execute(
        "update outbox set deliver_at = clock_timestamp() - interval '1 s' where deliver_at > now()"
    )


async def test_the_relay_leaves_a_row_alone_until_it_is_due(world):
    await publish(world, world.item(1), deliver_at=later(3600))
    await publish(world, world.item(2))
    await relay(world).publish_waiting()
    assert await skus(world) == ["p2"]
    row = await world.pool.fetch_one(sql("opsplane.events", "count_unpublished"))
    assert (row["pending"], row["delayed"], row["lag"]) == (0, 1, 0)
    await make_due(world)
    await relay(world).publish_waiting()
    assert await skus(world) == ["p2", "p1"]


async def test_rows_due_together_go_in_the_order_they_were_written(world):
    for number in (1, 4, 7):  # one subject
        await publish(world, world.item(number), deliver_at=later(3600 - number))
    await make_due(world)
    await publish(world, world.item(10))
    await relay(world).publish_waiting()
    assert await skus(world) == ["p1", "p4", "p7", "p10"]
    sequences = [decode(fields[b"data"]).sequence for _, fields in await world.store.xrange(TOPIC)]
    assert sequences == ["1", "2", "3", "4"]


async def test_the_relay_wakes_when_the_next_row_is_due(world, monkeypatch):
    """With a poll of fifteen seconds only the computed wake-up can publish it within ten."""
    monkeypatch.setattr("opsplane.events.relay.POLL", 15.0)
    async with world.running(relay(world)):
        await asyncio.sleep(0.1)
        due = later(0.5)
        await publish(world, world.item(1), deliver_at=due)
        await world.until(lambda: world.store.xlen(TOPIC), timeout=10)
        late = datetime.now(UTC) - due
    assert late >= timedelta(0)
    print(f"published {late.total_seconds() * 1000:.0f} ms after it was due")


async def test_a_handler_publishes_for_later(world):
    @consumer(TOPIC, group="g")
    async def handle(event, ctx):
        async with ctx.once() as tx:
            await ctx.publish(tx, "shop.item.deleted", {}, deliver_at=later(3600))

    await world.emit(world.item(1))
    await world.deliver(ConsumerGroup([handle], world.service, world.broker, world.schemas))
    row = await world.pool.fetch_one("select topic, deliver_at from outbox")
    assert row["topic"] == "shop.item.deleted"
    assert row["deliver_at"] > later(3000)


async def test_a_time_without_a_zone_is_refused(world):
    with pytest.raises(InvalidInput, match="time zone"):
        await publish(world, world.item(1), deliver_at=datetime(2030, 1, 1))  # noqa: DTZ001


async def test_direct_events_wait_in_the_broker_and_arrive_byte_for_byte_in_order(world):
    clock = ManualClock(datetime.now(UTC))
    mover = DelayedMover(world.broker, clock)
    due = clock.now() + timedelta(seconds=60)
    strange = [bytes(range(256)) * 3, b"", b"\r\n$5\r\n", encode(world.item(1))]
    for data in (*strange, strange[0]):
        await delay(world.broker, TOPIC, data, due)
    assert await count(world.broker, TOPIC) == 5
    assert await mover.move() == 0
    await clock.advance(61)
    assert await mover.move() == 5
    assert [fields[b"data"] for _, fields in await world.store.xrange(TOPIC)] == [*strange, strange[0]]
    assert await count(world.broker, TOPIC) == 0
    assert await world.store.smembers(DELAYED) == set()


async def test_more_than_one_step_of_direct_events_is_moved_at_once(world):
    for number in range(450):
        await delay(world.broker, TOPIC, b"%d" % number, later(-1))
    started = time.perf_counter()
    assert await DelayedMover(world.broker, world.service.clock).move() == 450
    print(f"450 events moved in {(time.perf_counter() - started) * 1000:.0f} ms")
    assert [int(fields[b"data"]) for _, fields in await world.store.xrange(TOPIC)] == list(range(450))

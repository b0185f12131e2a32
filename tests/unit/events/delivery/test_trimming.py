"""Retention and trim: a stopped group loses nothing, the alarm names it; a trim by length alone would lose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from opsplane.clock import ManualClock
from opsplane.events import ConsumerGroup, Relay, connect, consumer, decode, encode
from opsplane.events.brokers.keys import EVICTED, FULL
from opsplane.events.configuration import EventsFile
from opsplane.events.direct import DirectPublisher
from opsplane.events.fullness import FullStreams, StreamFull
from opsplane.events.trimming import Trimmer, marks
from opsplane.telemetry import render_metrics

TOPIC = "shop.item.created"


@pytest.fixture
def wanted(tmp_path, monkeypatch):
    monkeypatch.setattr("opsplane.events.configuration.file.LOOK", 0.0)
    monkeypatch.setattr("opsplane.events.fullness.LOOK", 0.0)
    monkeypatch.setattr("opsplane.events.trimming.LOOK", 0.0)

    def want(**policy) -> EventsFile:
        path = tmp_path / "events.yaml"
        path.write_text(f"topics: [{{match: 'shop.*', {', '.join(f'{k}: {v}' for k, v in policy.items())}}}]")
        return EventsFile(path)

    return want


@pytest.fixture
async def events(valkey_engine):
    """The broker as the events role may use it."""
    broker = connect(valkey_engine.url("events"))
    yield broker
    await broker.close()


def a_group(world, name, seen, fail=None) -> ConsumerGroup:
    @consumer(TOPIC, group=name)
    async def handle(event, ctx):
        if fail and event.data["sku"] in fail:
            raise RuntimeError("not now")
        seen.append(event.data["sku"])

    return ConsumerGroup([handle], world.service, world.broker, world.schemas)


def trimmer(events, file, ahead: float = 0.0) -> Trimmer:
    """A trimmer whose clock is `ahead` seconds."""
    return Trimmer(events, file, ManualClock(datetime.now(UTC) + timedelta(seconds=ahead)))


async def emit(world, *numbers):
    return await world.emit(*(world.item(number) for number in numbers))


async def left(world) -> list[str]:
    return [decode(fields[b"data"]).data["sku"] for _, fields in await world.store.xrange(TOPIC)]


def skus(first: int, last: int) -> list[str]:
    return [f"p{number}" for number in range(first, last)]


async def test_a_stopped_group_loses_nothing_and_what_all_have_read_goes(world, events, wanted):
    reading, stopped = [], []
    running, dead = a_group(world, "running", reading), a_group(world, "stopped", stopped)
    await emit(world, *range(100))
    await world.deliver(running)
    await world.deliver(dead)
    await emit(world, *range(100, 400))
    await world.deliver(running)
    old = trimmer(events, wanted(retention="1h"), ahead=7200)
    assert await old.step() == 99, "all but the last that both have read"
    assert await left(world) == skus(99, 400)
    await world.deliver(dead)
    assert stopped == reading == skus(0, 400)
    assert await old.step() == 300
    assert await old.step() == 0


async def test_within_its_retention_nothing_goes(world, events, wanted):
    await emit(world, *range(50))
    await world.deliver(a_group(world, "running", []))
    assert await trimmer(events, wanted(retention="1h"), ahead=1800).step() == 0


async def test_without_any_group_age_alone_counts(world, events, wanted):
    await emit(world, *range(50))
    assert await trimmer(events, wanted(retention="1h"), ahead=7200).step() == 50


async def test_what_is_given_and_not_finished_is_kept(world, events, wanted):
    group = a_group(world, "running", [])
    reader = await world.broker.reader("running", "holder", [TOPIC])
    await emit(world, *range(10))
    held = await reader.read(4, 0.1)
    await reader.close()
    await world.deliver(group)
    await world.store.xack(TOPIC, "running", *(one.id for one in held[:2]))
    assert await trimmer(events, wanted(retention="1h"), ahead=7200).step() == 2
    assert await left(world) == skus(2, 10)


async def test_what_waits_for_its_retry_needs_no_entry(world, events, wanted):
    seen: list[str] = []
    group = a_group(world, "running", seen, fail={"p1"})
    await emit(world, *range(5))
    await world.deliver(group)
    assert await trimmer(events, wanted(retention="1h"), ahead=7200).step() == 4
    fixed = a_group(world, "running", seen)
    await events.move_due_retries("running", datetime.now(UTC).timestamp() + 60)
    await world.deliver(fixed)
    assert sorted(seen) == skus(0, 5)


async def test_read_entries_go_before_their_time_when_there_are_too_many(world, events, wanted):
    await emit(world, *range(300))
    await world.deliver(a_group(world, "running", []))
    assert await trimmer(events, wanted(max_length=100)).step() == 200
    assert await left(world) == skus(200, 300)
    assert await marks(events, FULL) == {}


async def test_a_full_stream_refuses_and_the_alarm_names_the_stopped_group(world, events, wanted):
    reading, stopped = [], []
    running, dead = a_group(world, "running", reading), a_group(world, "stopped-group", stopped)
    for group in (running, dead):
        await world.deliver(group)
    await emit(world, *range(100))
    await world.deliver(running)
    duty = trimmer(events, wanted(max_length=100))
    direct = DirectPublisher(world.broker, world.schemas)
    assert (await direct.publish(TOPIC, {"sku": "p100", "price": 1}, source="test")).entry
    assert await duty.step() == 0, "nothing that is unread goes"
    assert (await marks(events, FULL))[TOPIC].groups == ["stopped-group"]
    assert b'stream_full{group="stopped-group",topic="shop.item.created"} 1.0' in render_metrics()
    with pytest.raises(StreamFull) as refused:
        await direct.publish(TOPIC, {"sku": "p101", "price": 1}, source="test")
    assert refused.value.status == 503

    relay = Relay("shop", world.pool, world.broker, world.doorbell, full=FullStreams(world.broker))
    async with world.pool.transaction() as tx:
        await world.outbox.publish(tx, world.item(101))
    assert await relay.publish_waiting() == 0, "the outbox waits"
    await world.deliver(running)
    await world.deliver(dead)
    assert await duty.step() > 0
    assert await marks(events, FULL) == {}
    assert await relay.publish_waiting() == 1
    for group in (running, dead):
        await world.deliver(group)
    assert reading == stopped == skus(0, 102), "nothing was lost"


async def test_evict_lets_the_oldest_go_counts_them_and_names_who_lost_them(world, events, wanted):
    running, dead = a_group(world, "running", []), a_group(world, "stopped-group", [])
    for group in (running, dead):
        await world.deliver(group)
    await emit(world, *range(150))
    await world.deliver(running)
    duty = trimmer(events, wanted(max_length=100, on_full="evict"))
    assert await duty.step() == 50
    assert await left(world) == skus(50, 150)
    mark = (await marks(events, EVICTED))[TOPIC]
    assert (mark.count, mark.groups) == (50, ["stopped-group"])
    assert await marks(events, FULL) == {}


async def test_planted_a_trim_by_length_loses_what_the_stopped_group_has_not_read(world, wanted):
    """What the first test would see if trimming looked at the length alone."""
    stopped: list[str] = []
    dead = a_group(world, "stopped", stopped)
    await world.deliver(dead)
    await emit(world, *range(300))
    await world.store.xtrim(TOPIC, maxlen=100, approximate=False)
    await world.deliver(dead)
    assert len(set(skus(0, 300)) - set(stopped)) == 200


async def test_more_than_one_step_is_trimmed_at_once(world, events, wanted):
    entries = [encode(world.item(number)) for number in range(25_000)]
    pipe = world.store.pipeline(transaction=False)
    for data in entries:
        pipe.xadd(TOPIC, {"data": data})
    await pipe.execute()
    assert await trimmer(events, wanted(retention="1h"), ahead=7200).step() == 25_000

"""Direct publishing with `durability: strict` while the broker is killed again and again: nothing acknowledged is lost.

A killed process leaves what it has written to the operating system. That strict publishing waits for more, for the disk,
is shown apart: by a broker that does not sync, which acknowledges other events and not strict ones.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from opsplane.embedded import Valkey
from opsplane.embedded.ports import free_ports
from opsplane.errors import Unavailable
from opsplane.events import Broker, Entry, connect, decode, encode, new_event
from opsplane.events.brokers.strict import NotDurable, NotOnDisk
from opsplane.events.configuration import EventsFile
from opsplane.events.direct import DirectPublisher
from opsplane.events.schemas import Schemas

TOPIC = "payments.payment.captured"
PUBLISHERS = 50


@pytest.fixture
def engine(engine_directory: Path) -> Iterator[Valkey]:
    """A broker of this experiment's own, as every installation has it."""
    passwords = dict.fromkeys(("events", "service", "admin"), secrets.token_urlsafe(8))
    place = engine_directory / f"strict-{secrets.token_hex(4)}"
    found = Valkey(place, port=free_ports(1)[0], passwords=passwords, log=place.with_suffix(".log"))
    found.start()
    yield found
    found.stop()


def direct(broker: Broker, directory: Path) -> DirectPublisher:
    path = directory / "events.yaml"
    path.write_text("topics: [{match: 'payments.*', durability: strict}]\n")
    return DirectPublisher(broker, Schemas(), file=EventsFile(path))


async def publish_until(stop: asyncio.Event, publisher: DirectPublisher, acknowledged: set[str]) -> None:
    while not stop.is_set():
        event = {
            "specversion": "1.0",
            "id": secrets.token_hex(8),
            "source": "test",
            "type": TOPIC,
            "data": {},
        }
        try:
            await publisher.publish(TOPIC, event, source="test", force=True)
        except Unavailable:
            await asyncio.sleep(0.05)
        else:
            acknowledged.add(event["id"])


async def boast_until(stop: asyncio.Event, broker: Broker, acknowledged: set[str]) -> None:
    """The planted defect: acknowledges what it has handed to the network."""
    sent: set[asyncio.Task[object]] = set()
    while not stop.is_set():
        event = new_event(TOPIC, {}, source="test")
        sent.add(asyncio.ensure_future(broker.publish_many([Entry(TOPIC, encode(event))])))
        acknowledged.add(event.id)
        await asyncio.sleep(0.005)
    await asyncio.gather(*sent, return_exceptions=True)


async def kill_again_and_again(engine: Valkey, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(1.0)
        assert engine.child is not None
        engine.child.kill()
        await asyncio.to_thread(engine.start)
    await asyncio.sleep(1.5)


async def kept(broker: Broker) -> set[str]:
    entries = await broker.call("XRANGE", TOPIC, "-", "+")
    return {decode(fields[1]).id for _, fields in entries}


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(480)])])
async def test_nothing_acknowledged_is_lost(engine: Valkey, tmp_path: Path, kills: int) -> None:
    broker, stop, acknowledged = connect(engine.url("service")), asyncio.Event(), set[str]()
    publisher, started = direct(broker, tmp_path), time.perf_counter()
    running = [asyncio.create_task(publish_until(stop, publisher, acknowledged)) for _ in range(PUBLISHERS)]
    await kill_again_and_again(engine, kills)
    stop.set()
    await asyncio.gather(*running)
    lost = acknowledged - await kept(broker)
    await broker.close()
    seconds = time.perf_counter() - started
    print(f"{kills} kills in {seconds:.0f} s, {len(acknowledged)} acknowledged, {len(lost)} lost")
    assert len(acknowledged) >= PUBLISHERS
    assert not lost


async def test_a_publisher_that_does_not_wait_loses_events(engine: Valkey) -> None:
    broker, stop, acknowledged = connect(engine.url("service")), asyncio.Event(), set[str]()
    running = asyncio.create_task(boast_until(stop, broker, acknowledged))
    await kill_again_and_again(engine, 1)
    stop.set()
    await running
    lost = acknowledged - await kept(broker)
    await broker.close()
    print(f"planted: {len(acknowledged)} acknowledged, {len(lost)} lost")
    assert lost, "the check above would not see a loss"


async def test_only_the_disk_makes_it_acknowledge(
    engine: Valkey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opsplane.events.brokers.strict.PATIENCE_MS", 500)
    broker, admin = connect(engine.url("service")), connect(engine.url("admin"))
    publisher = direct(broker, tmp_path)
    await admin.call("CONFIG", "SET", "appendfsync", "no")
    await broker.publish_many([Entry(TOPIC, b"{}")])
    with pytest.raises(NotOnDisk):
        await publisher.publish(TOPIC, {}, source="test", force=True)
    await admin.call("CONFIG", "SET", "appendfsync", "always")
    assert (await publisher.publish(TOPIC, {}, source="test", force=True)).entry
    for one in (broker, admin):
        await one.close()


async def test_a_broker_that_keeps_nothing_is_refused_before_anything_is_written(
    engine: Valkey, tmp_path: Path
) -> None:
    broker, admin = connect(engine.url("service")), connect(engine.url("admin"))
    await admin.call("CONFIG", "SET", "appendonly", "no")
    with pytest.raises(NotDurable, match="outbox"):
        await direct(broker, tmp_path).publish(TOPIC, {}, source="test", force=True)
    assert await admin.call("XLEN", TOPIC) == 0
    for one in (broker, admin):
        with suppress(Unavailable):
            await one.close()

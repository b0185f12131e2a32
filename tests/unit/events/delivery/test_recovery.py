from __future__ import annotations

import asyncio
import json
import sys

from opsplane.events import Context, Event, consumer
from opsplane.resilience import Stop

TOPIC = "shop.item.created"
GROUP = "indexer"
DOOMED = """
import asyncio, os, sys
from opsplane.clock import SYSTEM
from opsplane.events import ConsumerGroup, Schemas, Service, connect, consumer, Event, Context, Outbox
from opsplane.resilience import Stop

@consumer("shop.item.created", group="indexer")
async def handle(event: Event, ctx: Context) -> None:
    if event.data["sku"] == "p50":
        os._exit(9)
    print("handled", event.data["sku"], flush=True)

async def main():
    service = Service("shop", None, Outbox(Schemas(), "shop"), SYSTEM)
    group = ConsumerGroup([handle], service, connect(sys.argv[1]), Schemas(), recovery_interval=0.05, max_deliveries=2)
    await group.run(Stop())

asyncio.run(main())
"""


async def end_leases(world):
    """What their running out does, without the wait."""
    for key in await world.store.keys("opsplane:lease:*"):
        await world.store.delete(key)


async def test_entries_of_a_dead_consumer_are_run_one_at_a_time(world):
    await world.emit(*[world.item(number) for number in range(20)])
    reader = await world.broker.reader(GROUP, "dead-one", [TOPIC])
    assert len(await reader.read(20, 0.1)) == 20
    await reader.close()
    running, most, done = 0, 0, []

    @consumer(TOPIC, group=GROUP, concurrency=8)
    async def handle(event: Event, ctx: Context) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        running -= 1
        done.append(event.data["sku"])

    await asyncio.sleep(0.6)
    assert await world.group(handle).recover(Stop()) == 20
    assert (most, done) == (1, [f"p{number}" for number in range(20)])
    assert await world.pending() == 0
    assert not await world.store.exists(f"opsplane:started:{GROUP}")


async def test_a_consumer_with_a_lease_keeps_its_entries(world):
    await world.emit(world.item(1))
    await world.broker.lease(GROUP, "busy")
    reader = await world.broker.reader(GROUP, "busy", [TOPIC])
    assert len(await reader.read(20, 0.1)) == 1
    await reader.close()

    @consumer(TOPIC, group=GROUP)
    async def handle(event: Event, ctx: Context) -> None: ...

    await asyncio.sleep(0.6)
    assert await world.group(handle).recover(Stop()) == 0
    assert await world.pending() == 1
    await world.broker.unlease(GROUP, "busy")
    assert await world.group(handle).recover(Stop()) == 1


async def test_an_entry_is_given_to_one_of_two_recoverers(world):
    await world.emit(world.item(1))
    reader = await world.broker.reader(GROUP, "dead-one", [TOPIC])
    await reader.read(20, 0.1)
    await reader.close()
    await asyncio.sleep(0.6)
    claims = [world.broker.claim_one(GROUP, name, "dead-one", [TOPIC]) for name in ("a", "b", "c")]
    assert sum(claim is not None for claim in await asyncio.gather(*claims)) == 1


async def test_an_entry_trimmed_from_the_stream_does_not_block_recovery(world):
    ids = await world.emit(world.item(1), world.item(2))
    reader = await world.broker.reader(GROUP, "dead-one", [TOPIC])
    await reader.read(20, 0.1)
    await reader.close()
    await world.store.xdel(TOPIC, ids[0])
    await asyncio.sleep(0.6)
    entry = await world.broker.claim_one(GROUP, "a", "dead-one", [TOPIC])
    assert entry.id == ids[1]


async def test_one_poison_event_ends_processes_and_is_isolated_alone(world, broker_url, tmp_path):
    script = tmp_path / "doomed.py"
    script.write_text(DOOMED)
    await world.emit(*[world.item(number) for number in range(100)])
    done: list[str] = []
    deaths = 0
    while not await world.dead():
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(script), broker_url, stdout=asyncio.subprocess.PIPE
        )
        watch = asyncio.create_task(_ended(world, process))
        output = (await process.communicate())[0]
        deaths += await watch
        done += [line.split()[1] for line in output.decode().splitlines() if line.startswith("handled")]
        await end_leases(world)
    assert set(done) == {f"p{number}" for number in range(100)} - {"p50"}
    assert await world.pending() == 0
    [(data, metadata)] = await world.dead()
    assert json.loads(data)["data"]["sku"] == "p50"
    assert metadata["reason"] == "poison"
    assert deaths == 3, "the first, and two counted starts"


async def _ended(world, process) -> bool:
    """Whether the process died; when the poison is isolated and all else is done it is ended."""
    while process.returncode is None:
        if await world.dead() and await world.pending() == 0:
            process.terminate()
            await process.wait()
            return False
        await asyncio.sleep(0.05)
    return process.returncode == 9

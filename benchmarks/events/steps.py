"""CPU µs an event of each step of the chain, called alone over the same entries."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from benchmarks.events.bench import COUNT, TOPIC, Bench
from opsplane.clock import SYSTEM
from opsplane.events import Context, Event, consumer
from opsplane.events.chain import (
    Deadlines,
    Effects,
    Settler,
    Work,
    decode_work,
    mark_seen,
    refuse_expired,
    validate_work,
)

GROUP = "steps"
CHUNK = 1000


@consumer(TOPIC, group=GROUP)
async def handle(event: Event[object], ctx: Context) -> None:
    """Do nothing."""


async def steps(bench: Bench) -> dict[str, float]:
    """CPU µs an event by step, in the order of the chain."""
    await bench.clear()
    await bench.publish()
    reader = await bench.broker.reader(GROUP, "bench", [TOPIC])
    settler = Settler(bench.broker, GROUP, "bench", SYSTEM)
    deadlines = Deadlines()
    effects = Effects(bench.service, deadlines)
    cpu: dict[str, float] = {}

    async def timed(name: str, step: Callable[[], Awaitable[object]]) -> object:
        began = time.process_time()
        found = await step()
        cpu[name] = cpu.get(name, 0.0) + time.process_time() - began
        return found

    done = 0
    lane = deadlines.lane()
    while done < COUNT:
        works: list[Work] = []

        async def read(works: list[Work] = works) -> None:
            works += [Work(entry) for entry in await reader.read(CHUNK, 0.1)]

        async def decode(works: list[Work] = works) -> None:
            for work in works:
                decode_work(work, {TOPIC: handle})

        async def expire(works: list[Work] = works) -> None:
            for work in works:
                refuse_expired(work, SYSTEM.now())

        async def validate(works: list[Work] = works) -> None:
            for work in works:
                validate_work(work, bench.schemas)

        async def call(works: list[Work] = works) -> None:
            for work in works:
                await effects.one(work)

        async def settle(works: list[Work] = works) -> None:
            for work in works:
                await settler.succeed(work)
            await settler.flush()

        await timed("read and parse", read)
        await timed("decode", decode)
        await timed("expire", expire)
        await timed("validate", validate)
        await timed("deduplicate", lambda works=works: mark_seen(bench.broker, GROUP, works))
        await timed("deadline and handler", call)
        await timed("acknowledge", settle)
        done += len(works)
    deadlines.release(lane)
    await reader.close()
    return {name: seconds / done * 1e6 for name, seconds in cpu.items()}

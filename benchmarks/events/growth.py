"""How the chain grows: one group on 1, 10, 100 topics; 1, 10, 100 groups on one topic; CPU µs an event handled."""

from __future__ import annotations

from typing import Any

from benchmarks.events.bench import COUNT, TOPIC, Bench, Meter, event, until
from opsplane.events import Consumer, ConsumerGroup, Context, Entry, Event, consumer, encode

SIZES = (1, 10, 100)


class Counting:
    """Consumers that count what they are given."""

    def __init__(self) -> None:
        self.done = 0

    def consumer(self, group: str, topics: list[str]) -> Consumer:
        @consumer(topics, group=group)
        async def handle(_event: Event[Any], _ctx: Context) -> None:
            self.done += 1

        return handle


async def topics(bench: Bench) -> dict[str, dict[str, float]]:
    """By the number of topics: events a second, CPU µs an event."""
    found = {}
    for size in SIZES:
        await bench.clear()
        names = [TOPIC, *(f"bench.note.written{number}" for number in range(1, size))]
        for number, name in enumerate(names):
            await _fill(bench, name, COUNT // size, number)
        count = Counting()
        found[str(size)] = await _consumed(bench, count, [count.consumer("growth", names)], COUNT)
    return found


async def groups(bench: Bench) -> dict[str, dict[str, float]]:
    """By the number of groups in one process, each of which handles every event: events a second, CPU µs an event."""
    found = {}
    for size in SIZES:
        await bench.clear()
        each = max(1000, COUNT // size)
        await _fill(bench, TOPIC, each, 0)
        count = Counting()
        consumers = [count.consumer(f"growth-{number}", [TOPIC]) for number in range(size)]
        found[str(size)] = await _consumed(bench, count, consumers, each * size)
    return found


async def _consumed(bench: Bench, count: Counting, consumers: list[Consumer], total: int) -> dict[str, float]:
    duties = [ConsumerGroup([one], bench.service, bench.broker, bench.schemas) for one in consumers]
    meter = Meter(total)
    async with bench.consuming(*duties):
        await until(lambda: count.done >= total)
        return {name: round(value, 2) for name, value in meter.read().items()}


async def _fill(bench: Bench, topic: str, count: int, seed: int) -> None:
    for first in range(0, count, 500):
        numbers = range(first, min(first + 500, count))
        await bench.broker.publish_many([Entry(topic, encode(event(number + seed))) for number in numbers])

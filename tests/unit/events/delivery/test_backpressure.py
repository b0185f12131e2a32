"""Bounded in flight: however slow the handler and long the backlog, the process holds no more than its limit."""

from __future__ import annotations

import asyncio

import pytest

from opsplane.events import Entry, consumer, encode

TOPIC = "shop.item.created"
EVENTS = 5000


@pytest.mark.parametrize(("options", "running"), [({}, 1), ({"concurrency": 8}, 8), ({"batch": 50}, 50)])
async def test_a_slow_handler_never_makes_the_process_hold_more_than_its_limit(world, options, running):
    handled = in_hand = most_in_hand = most_pending = 0

    @consumer(TOPIC, group="slow", **options)
    async def handle(events, ctx):
        nonlocal handled, in_hand, most_in_hand, most_pending
        count = len(events) if "batch" in options else 1
        in_hand += count
        most_in_hand = max(most_in_hand, in_hand)
        most_pending = max(most_pending, await world.pending("slow"))
        await asyncio.sleep(0.004)
        in_hand -= count
        handled += count

    await world.broker.publish_many([Entry(TOPIC, encode(world.item(number))) for number in range(EVENTS)])
    prefetch = 60
    async with world.running(world.group(handle, prefetch=prefetch)):
        while handled < 300:
            await asyncio.sleep(0.005)
    print(f"{options}: at most {most_pending} held of {EVENTS}, {most_in_hand} in handlers")
    assert 0 < most_pending <= prefetch
    assert most_in_hand == min(running, prefetch // 2)
